"""hf:// URIs as huggingface_hub itself reads them."""

from __future__ import annotations

import pytest

from deepcoder_data.hub import HubLocation, hub_location
from deepcoder_data.store import ObjectMissingError


@pytest.mark.parametrize(
    ("uri", "location"),
    [
        ("hf://org/name", HubLocation("model", "org/name", None, "")),
        ("hf://org/name@v1", HubLocation("model", "org/name", "v1", "")),
        ("hf://org/name/part/x.jsonl", HubLocation("model", "org/name", None, "part/x.jsonl")),
        ("hf://datasets/org/name/data/x.jsonl.gz", HubLocation("dataset", "org/name", None, "data/x.jsonl.gz")),
        (
            "hf://datasets/org/name@refs/convert/parquet/default/train/",
            HubLocation("dataset", "org/name", "refs/convert/parquet", "default/train"),
        ),
        ("hf://datasets/org/name@refs/pr/3/x.jsonl", HubLocation("dataset", "org/name", "refs/pr/3", "x.jsonl")),
    ],
)
def test_a_uri_names_a_repository_a_revision_and_a_path(uri: str, location: HubLocation) -> None:
    """The convention is that of HfFileSystem."""
    assert hub_location(uri) == location


def test_a_revision_counts_where_the_uri_has_none() -> None:
    """spec.model.revision is the default, the URI's own is more special."""
    assert hub_location("hf://org/name", "v2").revision == "v2"
    assert hub_location("hf://org/name@v1", "v2").revision == "v1"


@pytest.mark.parametrize("uri", ["hf://name", "hf://spaces/org/name", "hf://"])
def test_what_is_no_model_and_no_data_set_is_refused(uri: str) -> None:
    """The error has the URI."""
    with pytest.raises(ObjectMissingError, match=uri):
        hub_location(uri)
