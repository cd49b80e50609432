"""What may be said of an evaluation: lengths, limits, and fields that belong to one kind of benchmark."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from deepcoder_api.evaluation import EvaluationSpec

URIS = {"ratingsUri": "s3://b/r", "standingsUri": "s3://b/s", "tests": "full"}


def spec(benchmark: dict[str, Any] | None = None, **parts: Any) -> EvaluationSpec:
    return EvaluationSpec.model_validate(
        {
            "model": {"uri": "s3://bucket/model"},
            "benchmarks": [{"name": "one", "kind": "jsonl", "uri": "s3://bucket/one.jsonl", **(benchmark or {})}],
            "storage": {"uri": "s3://bucket/prefix"},
            **parts,
        }
    )


@pytest.mark.parametrize(
    ("parts", "limit", "lengths"),
    [
        ({}, 64000, (64000,)),
        ({"contextLengths": [32768, 16384]}, 32768, (16384, 32768)),
        ({"sampling": {"maxTokens": 100}}, 100, (100,)),
        ({"sampling": {"maxTokens": 100}, "contextLengths": [50]}, 100, (50, 100)),
    ],
)
def test_the_limit_is_the_longest_length_or_the_cards(
    parts: dict[str, Any], limit: int, lengths: tuple[int, ...]
) -> None:
    """maxTokens, else the longest of contextLengths, else 64,000; scored are all lengths and the limit itself."""
    found = spec(**parts)
    assert (found.response_limit, found.scored_lengths) == (limit, lengths)


@pytest.mark.parametrize(("parts", "expected"), [({}, 64), ({"engine": {"replicas": 3}}, 192), ({"maxInFlight": 5}, 5)])
def test_answers_in_flight_grow_with_the_replicas(parts: dict[str, Any], expected: int) -> None:
    """64 for each, unless it is said."""
    assert spec(**parts).in_flight == expected


@pytest.mark.parametrize(
    ("benchmark", "parts", "said"),
    [
        ({}, {"contextLengths": [8, 8]}, "contextLengths: 8 is given twice"),
        ({}, {"contextLengths": [8, 200], "sampling": {"maxTokens": 100}}, "contextLengths: 200 is more than"),
        ({}, {"contextLengths": [300], "engine": {"maxModelLength": 256}}, "300 leaves no place for a prompt"),
        ({}, {"engine": {"maxModelLength": 256}}, "64000 leaves no place for a prompt"),
        ({"release": "v5"}, {}, "release: is only for kind livecodebench, not jsonl"),
        ({"window": {"from": "2024-08-01"}}, {}, "window: is only for kind livecodebench"),
        ({"kind": "codeforces", **URIS, "tests": None}, {}, "tests: kind codeforces needs it"),
        ({"kind": "codeforces", "tests": "full"}, {}, "ratingsUri: kind codeforces needs it"),
        ({"maxSubmissions": 8}, {}, "maxSubmissions: is only for kind codeforces"),
        ({"kind": "livecodebench", "release": "v9"}, {}, "release"),
        ({"kind": "gsm8k"}, {}, "'livecodebench'"),
        ({"kind": "aime", "release": "v5"}, {}, "release: is only for kind livecodebench, not aime"),
        ({"repeats": 0}, {}, "repeats"),
        ({}, {"engine": {"kind": "tgi", "gpusPerReplica": 0}}, "gpusPerReplica: kind tgi needs"),
        ({}, {"serve": True, "model": {"endpoint": {"url": "http://h", "name": "m"}}}, "serve: a model.endpoint is"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_field(benchmark: dict[str, Any], parts: dict[str, Any], said: str) -> None:
    """With the value, and what it does not fit."""
    with pytest.raises(ValidationError, match=said):
        spec(benchmark, **parts)


def test_what_fits_its_kind_is_taken() -> None:
    """As the 14B example writes it."""
    spec({"kind": "codeforces", **URIS, "maxSubmissions": 8, "repeats": 2})
    spec({"kind": "livecodebench", "release": "v5", "window": {"from": "2024-08-01", "to": "2025-02-01"}})
