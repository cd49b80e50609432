"""Strategies for outputs and values that are often nearly equal: few words, few numbers, few ways to set them apart."""

from __future__ import annotations

from hypothesis import strategies as st

WORDS = ("1", "2", "12", "21", "1.0", "1.00", "1e0", "1.00001", "1.0004", "0.5", "1000", "1e3", "-3", "a", "b", "YES")
SPACES = (" ", "  ", "\n", "\n\n", " \n", "\t")

# Words with white space around each, so that lines and places are often, but not always, the same.
texts = st.tuples(
    st.sampled_from(("", " ", "\n")),
    st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(SPACES)).map("".join), max_size=4).map("".join),
).map("".join)

_leaves = st.sampled_from((0, 1, 1.0, True, False, None, 0.5, "", "1", "a", -1, 10**20, float("nan"), float("inf")))
json_values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("1", "2", "a")), inner, max_size=2),
    max_leaves=5,
)
# What a call may return: tuples and int keys too.
returned_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from(("1", "a", 1, 2)), inner, max_size=2)
    ),
    max_leaves=5,
)
