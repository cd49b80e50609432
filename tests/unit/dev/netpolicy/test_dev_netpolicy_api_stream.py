"""How lists and watch events add up to a view of the cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dev.netpolicy.api_stream import COLLECTIONS, PODS, Change, ClusterView, Listing, StreamError, read_change


def item(name: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "runs"}, **more}


def test_a_view_is_complete_once_every_collection_was_listed() -> None:
    """Policies without pods, or pods without policies, would make a ruleset that is wrong."""
    view = ClusterView()
    for collection in COLLECTIONS:
        assert not view.complete
        view.apply(Listing(collection, []))
    assert view.complete


def test_changes_add_replace_and_remove() -> None:
    """The newest state of each object counts."""
    view = ClusterView()
    view.apply(Listing(PODS, [item("a"), item("b")]))
    view.apply(Change(PODS, "DELETED", item("a")))
    view.apply(Change(PODS, "MODIFIED", item("b", generation=2)))
    view.apply(Change(PODS, "ADDED", item("c")))
    assert view.of(PODS) == [item("b", generation=2), item("c")]


def test_a_new_listing_forgets_what_it_lacks() -> None:
    """A deletion that a broken watch missed is made up for."""
    view = ClusterView()
    view.apply(Listing(PODS, [item("a"), item("b")]))
    view.apply(Listing(PODS, [item("b")]))
    assert view.of(PODS) == [item("b")]


def test_a_deletion_that_comes_twice_does_no_harm() -> None:
    """A listing may already lack what an event removes."""
    view = ClusterView()
    view.apply(Listing(PODS, []))
    view.apply(Change(PODS, "DELETED", item("a")))
    assert view.of(PODS) == []


def test_a_line_of_a_watch_is_a_change() -> None:
    """kubectl prints one JSON event per line."""
    line = json.dumps({"type": "ADDED", "object": item("a")})
    assert read_change(PODS, line) == Change(PODS, "ADDED", item("a"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}', "too old"),
        ('{"type": "ADDED", "obj', "unreadable"),
    ],
)
def test_an_error_event_or_a_line_cut_off_asks_for_a_new_list(line: str, words: str) -> None:
    """410 Gone comes as an event; a killed stream ends in the middle of a line."""
    with pytest.raises(StreamError, match=words):
        read_change(PODS, line)
