"""The options of `deepcoder evaluate`: what they make, and how each wrong one is named."""

from __future__ import annotations

from typing import Any

import pytest

from deepcoder_cli.evaluation.options import RefusedOptionsError, benchmarks_of, job_faults
from deepcoder_cli.report import compared
from deepcoder_evaluation.compared_answers import ComparedAnswer
from tests.unit.evaluation.evaluation_builders import evaluation_job

LCB = "livecodebench=hf://datasets/livecodebench/code_generation_lite"
NOTHING = dict.fromkeys(("release", "window", "ratingsUri", "standingsUri", "tests", "maxSubmissions"))


def test_each_setting_goes_to_the_kind_that_has_it() -> None:
    """Release and window to LiveCodeBench, not to the file of one's own."""
    window = {"from": "2024-08-01", "to": "2025-02-01"}
    first, second = benchmarks_of([LCB, "jsonl=file:///a.jsonl"], {**NOTHING, "release": "v5", "window": window}, 2)
    assert (first.kind, first.release, first.repeats) == ("livecodebench", "v5", 2)
    assert first.window is not None
    assert (second.kind, second.uri, second.window) == ("jsonl", "file:///a.jsonl", None)


@pytest.mark.parametrize(
    ("given", "settings", "said"),
    [
        (["mbpp=file:///a"], {}, '--benchmark: "mbpp=file:///a": must be KIND=URI, KIND one of jsonl, livecodebench'),
        (["jsonl"], {}, "must be KIND=URI"),
        (["jsonl=/a"], {}, "--benchmark: jsonl=/a: String should match pattern"),
        ([LCB, LCB], {}, "--benchmark: livecodebench is given twice"),
        (["jsonl=file:///a"], {"release": "v5"}, "--release: is for livecodebench, which is not among the benchmarks"),
        ([LCB], {"window": {"from": "2024-02-30"}}, "--from: '2024-02-30' is no day of the calendar"),
        (["codeforces=file:///a"], {}, "--ratings: kind codeforces needs it"),
    ],
)
def test_what_is_wrong_is_named_by_its_option(given: list[str], settings: dict[str, Any], said: str) -> None:
    """With its value and what is allowed."""
    with pytest.raises(RefusedOptionsError) as refused:
        benchmarks_of(given, {**NOTHING, **settings}, 1)
    assert any(said in fault for fault in refused.value.faults), refused.value.faults


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """Before anything is tried."""
    (fault,) = job_faults(evaluation_job(), url)
    assert f'--url: "{url}": must be http://host:port' in fault


def test_a_comparison_needs_a_benchmark_in_common() -> None:
    """By name; what both have is compared."""
    right, wrong = (ComparedAnswer(verdict, 3, "", "print(1)") for verdict in ("accepted", "wrong_answer"))
    with pytest.raises(ValueError, match="no benchmark in common: a and b"):
        compared({"a": {"p": [right]}}, {"b": {"p": [right]}})
    found = compared({"a": {"p": [right]}}, {"a": {"p": [wrong]}})["a"]
    assert (found.first, found.second, found.lost) == (1.0, 0.0, ("p",))
