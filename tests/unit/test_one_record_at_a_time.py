"""Records one at a time give the same bits as the same records in any pages."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.charge import ChargeCounter
from plans.shorts import hard_short

pytestmark = pytest.mark.unit

RECORDS = st.lists(
    st.tuples(
        st.floats(0.1, 40.0),
        st.sampled_from([0.0, 1e-9, 0.01, -0.01, np.nan]),
        st.sampled_from([0.05, -0.05, 3.1, 0.001, 0.0, np.nan]),
    ),
    min_size=1,
    max_size=60,
)


@given(RECORDS, st.data())
def test_in_any_pages(records, data):
    steps_s, current_ma, voltage_v = (np.array(column) for column in zip(*records, strict=True))
    t_s = 1e9 + np.cumsum(steps_s)
    cuts = data.draw(st.lists(st.integers(0, len(t_s)), max_size=10))
    told = []
    for edges in (range(len(t_s) + 1), sorted({0, *cuts, len(t_s)})):
        edges = list(edges)
        charge, short = ChargeCounter(), hard_short()
        net, met = [], []
        for first, last in pairwise(edges):
            page = slice(first, last)
            net += charge.add(t_s[page], current_ma[page])[0].tolist()
            met += short.look(t_s[page], voltage_v[page], current_ma[page])
        state = json.dumps([charge.state(), short.state()], sort_keys=True)
        told.append((net, met, state, charge.throughput_mah))
    assert told[0] == told[1]
