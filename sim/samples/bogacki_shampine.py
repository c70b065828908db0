"""One adaptive Runge-Kutta step for small systems, in plain Python floats.

Bogacki and Shampine, Appl. Math. Lett. 2 (1989) 321: order 3 with an embedded order 2, first
same as last. For some twenty equations plain floats are faster than arrays, and a right-hand
side full of branches stays readable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

State = Sequence[float]
Rates = Callable[[float, State], list[float]]

RTOL = 1e-5
ATOL = 1e-8
H_MAX_S = 1800.0
H_START_S = 60.0
_SAFETY = 0.9
_SHRINK, _GROW = 0.2, 5.0


@dataclass(frozen=True, slots=True)
class Trial:
    """The outcome of one trial step.

    Attributes:
        y1: State at the end of the step.
        f1: Rates at the end of the step (the next step's first stage).
        error: Largest local error over its tolerance; accepted up to 1.
    """

    y1: list[float]
    f1: list[float]
    error: float


def attempt(rates: Rates, t_s: float, y0: State, f0: State, h_s: float) -> Trial:
    """Try one step of length `h_s` from `t_s`; `f0` are the rates at its start.

    The error is ``max |e| / (ATOL + RTOL max(|y0|, |y1|))`` over the components, and infinite
    where a stage left the domain of the rates.
    """
    try:
        trial = _stages(rates, t_s, y0, f0, h_s)
    except (OverflowError, ZeroDivisionError):
        return Trial([], [], math.inf)
    if not math.isfinite(sum(trial.y1)):
        return Trial([], [], math.inf)
    return trial


def _stages(rates: Rates, t_s: float, y0: State, f0: State, h_s: float) -> Trial:
    h_2, h_3 = 0.5 * h_s, 0.75 * h_s
    f_2 = rates(t_s + h_2, [y + h_2 * f for y, f in zip(y0, f0, strict=True)])
    f_3 = rates(t_s + h_3, [y + h_3 * f for y, f in zip(y0, f_2, strict=True)])
    w_0, w_2, w_3 = h_s * (2.0 / 9.0), h_s / 3.0, h_s * (4.0 / 9.0)
    stages = zip(y0, f0, f_2, f_3, strict=True)
    y1 = [y + (w_0 * a + w_2 * b + w_3 * c) for y, a, b, c in stages]
    f_4 = rates(t_s + h_s, y1)
    e_0, e_2, e_3, e_4 = -5.0 / 72.0, 1.0 / 12.0, 1.0 / 9.0, -1.0 / 8.0
    columns = zip(y0, y1, f0, f_2, f_3, f_4, strict=True)
    errors = [
        abs(e_0 * a + e_2 * b + e_3 * c + e_4 * d) / (ATOL + RTOL * max(abs(y), abs(z)))
        for y, z, a, b, c, d in columns
    ]
    return Trial(y1, f_4, h_s * max(errors))


def next_step_s(h_s: float, error: float) -> float:
    """Length of the next step (or of the repetition) after a step of `h_s` with this error."""
    factor = _GROW if error <= 0.0 else _SAFETY * error ** (-1.0 / 3.0)
    return min(H_MAX_S, h_s * min(_GROW, max(_SHRINK, factor)))
