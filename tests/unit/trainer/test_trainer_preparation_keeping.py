"""The difficulty filter in the preparation: what is kept, in which order, and what is counted."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcoder_api.problems import Problem
from deepcoder_api.training_run import DataSource, DataSpec
from deepcoder_data.dataset import read_dataset
from deepcoder_data.source_files import NamedFile
from deepcoder_data.termination import RetryableError
from deepcoder_trainer.preparation.contents import SourceContent
from deepcoder_trainer.preparation.pipeline import select
from deepcoder_trainer.preparation.rating import Rater, Rating
from deepcoder_trainer.preparation.selection import Refusal, Selection
from deepcoder_trainer.preparation.tally import Tally
from deepcoder_trainer.preparation.verification import Outcome, Verifier
from tests.problem_builders import json_lines, problem, write

SAMPLES = 4


class Accepting(Verifier):
    """Accepts every solution."""

    def __init__(self) -> None:
        """Needs no sandbox."""

    async def verify(self, problem: Problem) -> Outcome:
        return Outcome(verified=True)


class Rated(Rater):
    """Rates by the problem's id: accepted answers, then the turns of the event loop that they take."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.sampled = self.found = self.now = self.highest = 0
        self.asked: list[str] = []

    async def rate(self, problem: Problem) -> Rating | Refusal:
        self.asked.append(problem.id)
        self.now += 1
        self.highest = max(self.highest, self.now)
        name, accepted, turns = problem.id.split("-")
        for _ in range(int(turns)):
            await asyncio.sleep(0)
        self.now -= 1
        if name == "away":
            raise RetryableError("NoRollout", "no server")
        return Refusal("refused_when_rated", "too long") if name == "refused" else Rating(int(accepted), truncated=1)


def selected(ids: list[str], rater: Rated, **difficulty: Any) -> tuple[list[str], Tally]:
    """The ids that are kept of a source `made`, and what is counted."""
    filtered = {"samplesPerPrompt": SAMPLES, "keepAbove": 0, "keepBelow": 1, **difficulty}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        uri = write(folder / "made.jsonl", json_lines(problem(id, prompt=f"task {id}") for id in ids))
        sources = [{"name": made, "format": "jsonl", "uri": uri} for made in ("made", "other")]
        rules = DataSpec.model_validate({"sources": sources, "difficulty": filtered, "dedupe": {"similarity": 1}})
        files = [SourceContent(DataSource.model_validate(sources[0]), [NamedFile("", folder / "made.jsonl")])]
        tally = asyncio.run(
            select(
                files, Selection(rules, len), Accepting(), folder, in_flight=3, difficulty=rules.difficulty, rater=rater
            )
        )
        return [one.id for one in read_dataset(folder / "problems.parquet", "here")], tally


def test_too_hard_and_too_easy_problems_are_dropped_and_counted() -> None:
    """Each with its share; what the servers refuse is dropped by a reason of its own."""
    kept, tally = selected(["a-0-0", "b-1-0", "c-3-2", "d-4-1", "refused-1-0"], Rated(2))
    assert kept == ["b-1-0", "c-3-2"]
    assert tally.dropped == {"too_hard": 1, "too_easy": 1, "refused_when_rated": 1}
    assert tally.sources["made"].examples["too_hard"] == [
        "a-0-0: 0 of 4 answers of the base model were accepted"
    ]  # fmt: skip
    assert (list(tally.accepted), tally.truncated) == ([0, 1, 3, 4], 4)
    assert (tally.read, tally.kept, tally.verified) == (5, 2, 2)


def test_a_source_that_is_not_named_is_not_rated() -> None:
    """Its problems are kept, however hard they would be."""
    rater = Rated(2)
    kept, tally = selected(["a-0-0", "b-4-0"], rater, sources=["other"])
    assert (kept, rater.asked, list(tally.accepted)) == (["a-0-0", "b-4-0"], [], [])


def test_a_server_that_is_away_ends_the_preparation() -> None:
    """It is no reason to drop a problem; what else is being rated is given up."""
    with pytest.raises(RetryableError, match="no server"):
        selected(["a-1-90", "away-1-0", "c-1-99"], Rated(2))


IDS = st.lists(st.tuples(st.integers(0, SAMPLES), st.integers(0, 9)), max_size=25)


@settings(max_examples=40, deadline=None)
@given(IDS)
def test_what_is_kept_does_not_depend_on_how_many_are_rated_at_once(rows: list[tuple[int, int]]) -> None:
    """The same problems in the order of the source; never more than twice as many as keep the servers busy."""
    ids = [f"p{number}-{accepted}-{turns}" for number, (accepted, turns) in enumerate(rows)]
    expected = [id for id, (accepted, _) in zip(ids, rows, strict=True) if 0 < accepted < SAMPLES]
    for most in (1, 3, 100):
        rater = Rated(most)
        kept, tally = selected(ids, rater)
        assert kept == expected
        assert list(tally.accepted) == [accepted for accepted, _ in rows]
        assert rater.highest <= 2 * most + 1
