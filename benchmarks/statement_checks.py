"""`python -m benchmarks.statement_checks`: what near-duplicate and contamination checks cost.

    python -m benchmarks.statement_checks --problems 25000 --similarity 0.95
    python -m benchmarks.statement_checks --template     the worst case: statements that differ in a few words each

Statements are made up: words with Zipf's frequencies, 60 to 600 of them; one in ten is a copy of an earlier one with a
few words changed, of which some are near enough and some are not. One in a hundred is a copy of a benchmark's.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from benchmarks.machine import process_mib
from deepcoder_api.problems import Problem, StdinTest
from deepcoder_api.training_run import DataSpec, DecontaminationSource
from deepcoder_data.source_files import NamedFile
from deepcoder_trainer.preparation.contents import SourceContent
from deepcoder_trainer.preparation.decontamination import read_benchmarks
from deepcoder_trainer.preparation.selection import Candidate, Selection

VOCABULARY = [f"w{number}" for number in range(20_000)]
WEIGHTS = list(accumulate(1 / (rank + 10) for rank in range(len(VOCABULARY))))
BENCHMARK_PROBLEMS = 1000
TESTS = tuple(StdinTest(input=str(number), output=str(number)) for number in range(10))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.statement_checks", description=__doc__)
    parser.add_argument("--problems", type=int, default=25_000)
    parser.add_argument("--similarity", type=float, default=0.95)
    parser.add_argument("--template", action="store_true")
    arguments = parser.parse_args()
    chance = random.Random(1)
    apart = [_statement(chance) for _ in range(BENCHMARK_PROBLEMS)]
    statements = _from_template(chance) if arguments.template else _natural(chance, apart)
    before = process_mib("VmHWM")
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        selection = Selection(_rules(arguments.similarity), len, read_benchmarks([_file(Path(folder), apart)]))
        outcomes = Counter[str]()
        for number in range(arguments.problems):
            outcomes[_outcome(selection, Problem(id=str(number), prompt=next(statements), tests=TESTS))] += 1
    figures = {
        "problems": arguments.problems,
        "similarity": arguments.similarity,
        "seconds": round(time.monotonic() - started, 1),
        "peak_mib": round(process_mib("VmHWM")),
        "peak_mib_before": round(before),
        "outcomes": dict(outcomes),
    }
    print(json.dumps(figures))


def _outcome(selection: Selection, problem: Problem) -> str:
    examined = selection.examine(problem)
    refusal = selection.repeats(examined) if isinstance(examined, Candidate) else examined
    if refusal:
        return refusal.reason
    if isinstance(examined, Candidate):
        selection.take(examined)
    return "kept"


def _natural(chance: random.Random, apart: list[str]) -> Iterator[str]:
    earlier: list[str] = []
    while True:
        kind = chance.random()
        if kind < 0.01:
            yield _changed(chance.choice(apart), chance)
        elif kind < 0.11 and earlier:
            yield _changed(chance.choice(earlier), chance)
        else:
            text = _statement(chance)
            if len(earlier) < 1000:
                earlier.append(text)
            yield text


def _from_template(chance: random.Random) -> Iterator[str]:
    words = chance.choices(VOCABULARY, cum_weights=WEIGHTS, k=300)
    while True:
        places = range(30, len(words), 30)
        yield " ".join(chance.choice(VOCABULARY) if place in places else word for place, word in enumerate(words))


def _statement(chance: random.Random) -> str:
    return " ".join(chance.choices(VOCABULARY, cum_weights=WEIGHTS, k=chance.randrange(60, 600)))


def _changed(text: str, chance: random.Random) -> str:
    words = text.split()
    for _ in range(chance.randrange(0, 12)):
        words[chance.randrange(len(words))] = chance.choice(VOCABULARY)
    return " ".join(words)


def _rules(similarity: float) -> DataSpec:
    source = {"name": "made", "format": "jsonl", "uri": "file:///made.jsonl"}
    return DataSpec.model_validate(
        {"sources": [source], "maxPromptTokens": 1_000_000, "dedupe": {"similarity": similarity}}
    )


def _file(folder: Path, statements: list[str]) -> SourceContent[DecontaminationSource]:
    file = folder / "benchmark.jsonl"
    problems = (Problem(id=str(number), prompt=text, tests=()) for number, text in enumerate(statements))
    file.write_text("".join(f"{problem.model_dump_json()}\n" for problem in problems))
    source = DecontaminationSource(name="bench", format="jsonl", uri=file.as_uri())
    return SourceContent(source, [NamedFile("", file)])


if __name__ == "__main__":
    main()
