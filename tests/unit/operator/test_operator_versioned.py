"""The store under the index: the newer version wins in any order, and the deleted stay away."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deepcoder_operator.versioned import Versioned


def test_an_older_word_of_an_object_is_not_believed() -> None:
    """A list that was under way when a watch told more does not turn the clock back."""
    store: Versioned[str] = Versioned()
    assert store.put("owner", "uid", 7, "new")
    assert not store.put("owner", "uid", 6, "old")
    assert not store.put("owner", "uid", 7, "the same again")
    assert store.of("owner") == ["new"]


def test_what_is_deleted_does_not_come_back() -> None:
    """An answer that was under way when the deletion was seen is too late."""
    store: Versioned[str] = Versioned()
    store.put("owner", "uid", 7, "there")
    store.remove("owner", "uid")
    assert not store.put("owner", "uid", 9, "late")
    assert store.of("owner") == []


def test_a_list_drops_what_it_does_not_hold_unless_that_is_newer_than_the_list() -> None:
    """What was made after the list was read is not in it, and stays."""
    store: Versioned[str] = Versioned()
    for uid, version in (("listed", 3), ("missed", 4), ("made since", 12)):
        store.put("owner", uid, version, uid)
    store.put("another owner", "of another", 2, "of another")
    assert store.keep_only({"listed"}, 10, "owner") == ["missed"]
    assert store.of("owner") == ["listed", "made since"]
    assert store.of("another owner") == ["of another"]
    assert store.keep_only({"listed"}, 10) == ["of another"]
    assert list(store) == ["listed", "made since"]


@given(st.permutations([(version, f"at {version}") for version in range(6)]))
def test_the_order_in_which_versions_come_does_not_matter(versions: list[tuple[int, str]]) -> None:
    """Watch, list and answers race; the end is the same."""
    store: Versioned[str] = Versioned()
    for version, value in versions:
        store.put("owner", "uid", version, value)
    assert store.of("owner") == ["at 5"]
