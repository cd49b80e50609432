"""What the preparation decides: which problems stay, what is counted, and when a dataset is the same."""

from __future__ import annotations

from typing import Any

import pytest

from deepcoder_api.grading import GradeResult, Verdict
from deepcoder_api.specification import SandboxSpec
from deepcoder_api.training_run import DataSpec
from deepcoder_sandbox.client import SandboxClient
from deepcoder_trainer.preparation.keys import dataset_key
from deepcoder_trainer.preparation.selection import Tally, drop_reason
from deepcoder_trainer.preparation.verification import Outcome, Verifier
from tests.problem_builders import problem
from tests.resolved_runs import resolved_run

SOURCES = [{"name": "made", "format": "jsonl", "uri": "s3://bucket/x.jsonl"}]
DIGESTS = {"made": "aa", "other": "bb"}


def rules(**changes: Any) -> DataSpec:
    """A specification of data."""
    return DataSpec.model_validate({"sources": SOURCES, "maxPromptTokens": 10, **changes})


@pytest.mark.parametrize(
    ("of_problem", "of_rules", "reason"),
    [
        ({}, {}, None),
        ({"id": "taken"}, {}, "duplicate_id"),
        ({"tests": []}, {}, "no_tests"),
        ({"tests": []}, {"minTests": 5}, "no_tests"),
        ({}, {"minTests": 2}, None),
        ({}, {"minTests": 3}, "too_few_tests"),
        ({"prompt": "x" * 10}, {}, None),
        ({"prompt": "x" * 11}, {}, "prompt_too_long"),
        ({"solution": None}, {}, None),
        ({"solution": None}, {"verifySolutions": "Required"}, "no_solution"),
        ({"solution": None}, {"verifySolutions": "Never"}, None),
    ],
)
def test_a_problem_is_dropped_for_one_reason(of_problem: dict, of_rules: dict, reason: str | None) -> None:
    """Each bound is inclusive; here every character of a prompt is a token."""
    given = problem(**{"prompt": "p", **of_problem})

    assert drop_reason(given, rules(**of_rules), {"taken"}, len) == reason


def test_the_summary_counts_by_reason_with_an_example() -> None:
    """One line for people: what is kept, what is verified, and why the rest is not."""
    tally = Tally()
    tally.read["made"] = 5
    tally.keep(problem("a", source="made"), verified=True)
    tally.keep(problem("b", source="made"), verified=False)
    tally.drop("no_tests", "made c")
    tally.drop("prompt_too_long", "made d")
    tally.drop("prompt_too_long", "made e")

    assert tally.summary() == (
        "2 problems kept of 5, 1 verified; dropped: prompt_too_long 2 (first: made d), no_tests 1 (first: made c)"
    )
    assert (tally.tests, dict(tally.kept)) == (4, {"made": 2})


def key(digests: dict[str, str] | None = None, tokenizer: str = "tt", **parts: Any) -> str:
    """The key of a run's dataset."""
    return dataset_key(resolved_run(**parts), digests or DIGESTS, tokenizer)


def test_what_does_not_shape_a_dataset_does_not_change_its_key() -> None:
    """Another run, another place of the same content, another recipe: the dataset is reused."""
    same = key()

    assert key(uid="fedcba9876543210") == same
    assert key(storage={"uri": "s3://other/prefix"}) == same
    assert key(optimizer={"learningRate": 1e-3}) == same
    assert key(sandbox={"replicas": 7}) == same
    assert key(data={"sources": [{"name": "made", "format": "jsonl", "uri": "s3://elsewhere/y.jsonl"}]}) == same


@pytest.mark.parametrize(
    "changes",
    [
        {"digests": {"made": "ab"}},
        {"tokenizer": "uu"},
        {"data": {"minTests": 2}},
        {"data": {"maxPromptTokens": 63}},
        {"data": {"verifySolutions": "Required"}},
        {"data": {"sources": [{"name": "made", "format": "humaneval", "uri": "file:///problems.jsonl"}]}},
        {"data": {"sources": [{"name": "other", "format": "jsonl", "uri": "file:///problems.jsonl"}]}},
        {"data": {"sources": [{**SOURCES[0], "tests": {"maxCount": 15}}]}},
        {"data": {"sources": [{**SOURCES[0], "format": "livecodebench", "window": {"from": "2023-05-01"}}]}},
        {"sandbox": {"limits": {"timeoutSeconds": 7}}},
        {"sandbox": {"profile": "lcb-v5"}},
    ],
)
def test_what_shapes_a_dataset_changes_its_key(changes: dict[str, Any]) -> None:
    """Content, rules, tokenizer, and the limits and the profile that solutions are run under."""
    assert key(**changes) != key()


def test_limits_and_profile_matter_only_where_solutions_are_run() -> None:
    """With Never nothing is run, so the sandbox cannot shape the dataset."""
    never = {"verifySolutions": "Never"}

    assert key(data=never, sandbox={"limits": {"timeoutSeconds": 7}, "profile": "lcb-v5"}) == key(data=never)


class Sandbox(SandboxClient):
    """Accepts everything and keeps what it was asked with."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def grade(self, suite: Any, program: str, **arguments: Any) -> GradeResult:
        self.asked.append(arguments)
        return GradeResult(id=arguments["id"], verdict=Verdict.ACCEPTED)


async def test_a_solution_is_run_as_answers_will_be() -> None:
    """Under the profile and the limits of the run's sandbox."""
    sandbox = Sandbox()
    grading = SandboxSpec.model_validate({"profile": "rllm-main", "limits": {"timeoutSeconds": 7}})
    assert await Verifier(sandbox, grading, rules()).verify(problem("a")) == Outcome(verified=True)
    assert [(asked["profile"], asked["limits"].timeout_seconds) for asked in sandbox.asked] == [("rllm-main", 7)]
