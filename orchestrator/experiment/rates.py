"""C-rates as people write them: 0.1, C/10, 2C, D/5."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from orchestrator.inputs.fields import Expected, Quantity

_FRACTION = re.compile(r"\s*(\d+\.?\d*)?\s*([CD])?\s*(?:/\s*(\d+\.?\d*))?\s*")


@dataclass(frozen=True)
class Rate(Expected):
    """A current relative to the sample's capacity, 1/h; D counts as a negative C.

    The texts are those of aurora-unicycler 0.4 (`_coerce_c_rate`): ``C/10`` is 0.1, ``D/2`` is
    -0.5, ``1/5`` is 0.2; ``2C`` and ``C``, which it does not read, are 2 and 1.
    """

    nonzero: bool = False

    @property
    @override
    def words(self) -> str:
        return "a non-zero C-rate in 1/h such as 0.1, C/10 or D/5"

    @override
    def check(self, value: Any) -> float:
        if not isinstance(value, str):
            return Quantity("a C-rate", "1/h", nonzero=self.nonzero).check(value)
        found = _FRACTION.fullmatch(value[:40])
        if found is None or not any(found.groups()):
            raise self.refuse(value, "write it like C/10")
        sign = -1.0 if found[2] == "D" else 1.0
        below = float(found[3]) if found[3] else 1.0
        if below == 0:
            raise self.refuse(value, "do not divide by 0")
        rate = sign * float(found[1] or 1.0) / below
        return Quantity("a C-rate", "1/h", nonzero=self.nonzero).check(rate)

    @override
    def schema(self) -> dict[str, Any]:
        return {
            "type": ["number", "string"],
            "description": f"{self.words[:1].upper()}{self.words[1:]}.",
        }
