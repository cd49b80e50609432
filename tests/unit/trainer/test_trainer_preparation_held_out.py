"""Validation problems: read whole, or refused with their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deepcoder_api.training_run import DataSpec, ValidationSource
from deepcoder_data.dataset import VALIDATION, read_dataset
from deepcoder_data.source_files import NamedFile
from deepcoder_data.termination import PermanentError
from deepcoder_trainer.preparation.contents import SourceContent
from deepcoder_trainer.preparation.held_out import HeldOut, read_held_out
from deepcoder_trainer.preparation.selection import Refusal, Selection
from tests.problem_builders import json_lines, problem


def content(folder: Path, rows: bytes, name: str = "held-out") -> SourceContent[ValidationSource]:
    file = folder / f"{name}.jsonl"
    file.write_bytes(rows)
    source = ValidationSource.model_validate({"name": name, "format": "jsonl", "uri": file.as_uri()})
    return SourceContent(source, [NamedFile("", file)])


def held_out(*contents: SourceContent[ValidationSource]) -> HeldOut:
    return read_held_out(contents, len, max_prompt_tokens=40)


def test_the_problems_of_all_sources_are_written_beside_the_dataset(tmp_path: Path) -> None:
    """In the order of the sources, each with the name of its own."""
    first = content(tmp_path, json_lines([problem("a"), problem("b", prompt="other")]))
    read = held_out(first, content(tmp_path, json_lines([problem("c")]), "more"))
    read.write(tmp_path)
    written = [(one.id, one.source) for one in read_dataset(tmp_path / VALIDATION, "here")]
    assert written == [("a", "held-out"), ("b", "held-out"), ("c", "more")]
    assert [benchmark.name for benchmark in read.benchmarks] == ["validation held-out", "validation more"]


def test_a_sources_time_limit_is_that_of_its_problems(tmp_path: Path) -> None:
    """As for those that are trained on."""
    given = content(tmp_path, json_lines([problem("a"), problem("b", prompt="other", timeout_seconds=2)]))
    timed = given.source.model_copy(update={"timeout_seconds": 6.0})
    read = held_out(SourceContent(timed, given.files))
    assert [one.timeout_seconds for one in read.problems] == [6.0, 2.0]


def test_a_prompt_that_is_too_long_is_not_asked_and_not_trained_on(tmp_path: Path) -> None:
    """The others are; the source still keeps its statement apart."""
    read = held_out(content(tmp_path, json_lines([problem("a"), problem("long", prompt="x" * 41)])))
    assert [one.id for one in read.problems] == ["a"]
    assert len(read.benchmarks[0].statements) == 2


def test_what_is_near_to_one_of_them_is_not_trained_on(tmp_path: Path) -> None:
    """Without a word of data.decontaminate."""
    read = held_out(content(tmp_path, json_lines([problem("a", prompt="add the two numbers")])))
    rules: dict[str, Any] = {"sources": [{"name": "made", "format": "jsonl", "uri": "file:///made.jsonl"}]}
    selection = Selection(DataSpec.model_validate(rules), len, read.benchmarks)
    found = selection.examine(problem("b", prompt="Add the two numbers!"))
    assert found == Refusal("contaminated", "1.00 near to validation held-out a")
    assert not isinstance(selection.examine(problem("c", prompt="sort the list")), Refusal)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (b"", "it has no problem with a prompt of at most 40 tokens"),
        (json_lines([problem("a")]) + b"[]\n", "line 2: "),
        (json_lines([problem("a", tests=[])]), "problem 'a' has no tests, so that no answer could be accepted"),
        (json_lines([problem("a"), problem("a", prompt="b")]), "problem 'a' is there twice; ids must be unique"),
        (
            json_lines([problem("a", prompt="x" * 41)]),
            "it has no problem with a prompt of at most 40 tokens",
        ),
    ],
)
def test_a_score_is_over_all_problems_or_none(tmp_path: Path, rows: bytes, said: str) -> None:
    """What cannot be asked or graded is told with its place, before anything is trained."""
    given = content(tmp_path, rows)
    with pytest.raises(PermanentError) as caught:
        held_out(given)
    assert caught.value.reason == "ValidationInvalid"
    assert str(caught.value).startswith(f'spec.validation.sources[held-out].uri: "{given.source.uri}": {said}')
