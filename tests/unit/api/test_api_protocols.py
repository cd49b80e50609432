"""What the parts say to each other: grading and rollout. Bounds, and the words that must not change."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from deepcoder_api.grading import GradeRequest, GradeResult, Limits, TestResult, Verdict
from deepcoder_api.problems import StdinTest, TestSuite
from deepcoder_api.rollout import Heartbeat, WeightOrder
from deepcoder_api.specification import SandboxLimits

GRADE: dict[str, Any] = {"id": "a", "problem_hash": "0" * 64, "program": "print(1)"}
HEARTBEAT: dict[str, Any] = {
    "server": "s", "generate_url": "http://a", "agent_url": "http://b", "shards_url": "http://c", "node": "n",
    "attempt": 0, "version": 0, "ready": True,
}  # fmt: skip
ORDER: dict[str, Any] = {"attempt": 1, "version": 0, "shards": [], "deadline_seconds": 1}


def test_verdicts() -> None:
    """They stand in samples and reports that outlive every version."""
    assert [verdict.value for verdict in Verdict] == [
        "accepted",
        "wrong_answer",
        "time_limit",
        "memory_limit",
        "output_limit",
        "runtime_error",
        "no_program",
        "internal_error",
    ]


@pytest.mark.parametrize("verdict", Verdict)
def test_only_accepted_is_accepted(verdict: Verdict) -> None:
    """A failure of the grader is no pass."""
    assert GradeResult(id="a", verdict=verdict).accepted is (verdict == "accepted")


@pytest.mark.parametrize(
    ("model", "valid", "wrong"),
    [
        (GradeRequest, GRADE, {"problem_hash": "0" * 63}),
        (GradeRequest, GRADE, {"problem_hash": "G" * 64}),
        (GradeRequest, GRADE, {"program": "x" * (1024 * 1024 + 1)}),
        (GradeRequest, GRADE, {"id": "x" * 513}),
        (GradeRequest, GRADE, {"profile": "lenient"}),
        (GradeRequest, GRADE, {"tests": []}),
        (Limits, {}, {"timeout_seconds": 0}),
        (Limits, {}, {"timeout_seconds": 301}),
        (Limits, {}, {"memory_mib": 31}),
        (Limits, {}, {"output_mib": 0}),
        (Limits, {}, {"processes": 0}),
        (Heartbeat, HEARTBEAT, {"version": -1}),
        (Heartbeat, HEARTBEAT, {"attempt": -1}),
        (WeightOrder, ORDER, {"attempt": 0}),
        (WeightOrder, ORDER, {"deadline_seconds": 0}),
    ],
)
def test_out_of_bounds_is_refused(model: type[BaseModel], valid: dict[str, Any], wrong: dict[str, Any]) -> None:
    """The same message without the fault is taken."""
    model.model_validate(valid)
    with pytest.raises(ValidationError):
        model.model_validate({**valid, **wrong})


def test_limits_of_a_spec_are_limits_of_the_grader() -> None:
    """What a spec allows, the grading server takes, and both have the same defaults."""
    given = SandboxLimits()
    assert Limits(**given.model_dump()) == Limits()
    edges = SandboxLimits.model_validate({"timeoutSeconds": 300, "memoryMiB": 64, "outputMiB": 64, "processes": 1024})
    assert Limits(**edges.model_dump()).processes == 1024


def test_a_suites_own_time_limit_stands_in_place_of_the_callers() -> None:
    """Longer or shorter; the other limits are the caller's, and so is the time of a suite that states none."""
    limits, tests = Limits(timeout_seconds=12, memory_mib=64), (StdinTest(input="", output=""),)
    assert limits.of_suite(TestSuite(tests=tests)) == limits
    for seconds in (6.0, 20.0):
        own = limits.of_suite(TestSuite(tests=tests, timeout_seconds=seconds))
        assert (own.timeout_seconds, own.memory_mib) == (seconds, 64)
    for wrong in (0, 301):
        with pytest.raises(ValidationError, match="timeout_seconds"):
            TestSuite(tests=tests, timeout_seconds=wrong)


def test_answers_survive_their_json() -> None:
    """A result with one test run of three."""
    test = TestResult(verdict=Verdict.TIME_LIMIT, wall_seconds=6.0, detail="6 s of wall clock")
    result = GradeResult(id="a", verdict=Verdict.TIME_LIMIT, tests=(test,), tests_total=3)
    assert GradeResult.model_validate_json(result.model_dump_json()) == result
