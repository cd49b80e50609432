"""What the preparation decides: which problems stay, what is counted, and when a dataset is the same."""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcoder_api.grading import GradeResult, Verdict
from deepcoder_api.problems import Problem
from deepcoder_api.specification import SandboxSpec
from deepcoder_api.training_run import DataSource, DataSpec, DecontaminationSource
from deepcoder_data.dataset import read_dataset
from deepcoder_data.source_files import NamedFile
from deepcoder_data.termination import PermanentError
from deepcoder_sandbox.client import SandboxClient
from deepcoder_trainer.preparation.contents import SourceContent, of_source
from deepcoder_trainer.preparation.decontamination import read_benchmarks
from deepcoder_trainer.preparation.keys import Digests, dataset_key
from deepcoder_trainer.preparation.pipeline import select
from deepcoder_trainer.preparation.rating_conditions import rating_conditions
from deepcoder_trainer.preparation.selection import Candidate, Refusal, Selection
from deepcoder_trainer.preparation.tally import Tally
from deepcoder_trainer.preparation.verification import Outcome, Verifier
from tests.problem_builders import json_lines, problem, write
from tests.resolved_runs import resolved_run

SOURCES = [{"name": "made", "format": "jsonl", "uri": "s3://bucket/x.jsonl"}]
APART = [{"name": "bench", "format": "humaneval", "uri": "s3://bucket/bench.jsonl"}]
RATED = {"difficulty": {"samplesPerPrompt": 4, "keepAbove": 0, "keepBelow": 1}}
DIGESTS = Digests({"made": "aa", "other": "bb"}, {"bench": "cc"})


def rules(**changes: Any) -> DataSpec:
    """A specification of data."""
    return DataSpec.model_validate({"sources": SOURCES, "maxPromptTokens": 10, **changes})


TEST = {"kind": "stdin", "input": "1", "output": "2"}


@pytest.mark.parametrize(
    ("of_problem", "of_rules", "refusal"),
    [
        ({}, {}, None),
        ({"id": "taken"}, {}, Refusal("duplicate_id")),
        ({"tests": []}, {}, Refusal("no_tests")),
        ({"tests": []}, {"minTests": 5}, Refusal("no_tests")),
        ({}, {"minTests": 2}, None),
        ({}, {"minTests": 3}, Refusal("too_few_tests", "2 of 3")),
        ({"tests": [TEST, TEST]}, {"minTests": 2}, Refusal("too_few_tests", "1 of 2")),
        (
            {"tests": [TEST, {**TEST, "output": "3"}]},
            {"minTests": 3},
            Refusal("contradictory_tests", 'tests 1 and 2 have the same input and expect "2" and "3"'),
        ),
        ({"prompt": "x" * 10}, {}, None),
        ({"prompt": "x" * 11}, {}, Refusal("prompt_too_long", "11 tokens")),
        ({"solution": None}, {}, None),
        ({"solution": None}, {"verifySolutions": "Required"}, Refusal("no_solution")),
        ({"solution": None}, {"verifySolutions": "Never"}, None),
    ],
)
def test_a_problem_is_dropped_for_one_reason(of_problem: dict, of_rules: dict, refusal: Refusal | None) -> None:
    """Each bound is inclusive; here every character of a prompt is a token."""
    selection = Selection(rules(**of_rules), len)
    selection.examine(problem("taken", prompt="p", tests=[{**TEST, "input": str(n)} for n in range(3)]))

    examined = selection.examine(problem(**{"prompt": "p", **of_problem}))

    assert (examined if isinstance(examined, Refusal) else None) == refusal


def test_a_candidate_has_each_test_once_and_is_measured() -> None:
    """What is repeated is counted; here every character of a prompt is a token."""
    examined = Selection(rules(), len).examine(problem(prompt="sum it", tests=[TEST, TEST, {**TEST, "input": "2"}]))

    assert isinstance(examined, Candidate)
    assert [test.model_dump() for test in examined.problem.tests] == [TEST, {**TEST, "input": "2"}]
    assert (examined.prompt_tokens, examined.duplicate_tests) == (6, 1)


def kept(prompts: list[str], **of_rules: Any) -> list[int]:
    """The places of the prompts that are kept, each settled before the next is examined."""
    selection, places = Selection(rules(maxPromptTokens=1000, **of_rules), len), list[int]()
    for place, prompt in enumerate(prompts):
        examined = selection.examine(problem(str(place), prompt=prompt))
        if isinstance(examined, Candidate) and selection.repeats(examined) is None:
            selection.take(examined)
            places.append(place)
    return places


ALPHABET = "a b c d e f g h i j k l m n o p q r s t u v w x y z"


@pytest.mark.parametrize(
    ("prompts", "similarity", "places"),
    [
        ([ALPHABET, ALPHABET], None, [0, 1]),
        ([ALPHABET, ALPHABET.upper(), "z y x"], 1.0, [0, 2]),
        ([ALPHABET, f"{ALPHABET} 1"], 1.0, [0, 1]),
        ([ALPHABET, f"{ALPHABET} 1"], 22 / 23, [0]),
        ([ALPHABET, f"{ALPHABET} 1"], 22 / 23 + 1e-9, [0, 1]),
        # The third is near to the second alone, which is not in the dataset.
        ([ALPHABET, f"{ALPHABET} 1", f"{ALPHABET} 1 2"], 22 / 23, [0, 2]),
    ],
)
def test_near_duplicates_are_dropped_from_the_threshold_on(
    prompts: list[str], similarity: float | None, places: list[int]
) -> None:
    """26 words have 22 5-grams, one word more one more; the first stays; the threshold itself is dropped."""
    assert kept(prompts, **({"dedupe": {"similarity": similarity}} if similarity else {})) == places


WORDS = ("sum", "of", "all", "even", "numbers", "x", "<", "y")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=7).map(tuple), max_size=25), st.randoms())
def test_exactly_one_of_equal_statements_stays(statements: list[tuple[str, ...]], chance: random.Random) -> None:
    """The first, however the others are written; at similarity 1 no other is dropped."""
    prompts = [chance.choice([" ", "\n", "  "]).join(words).swapcase() for words in statements]
    prompts = [chance.choice([prompt, prompt.swapcase()]) for prompt in prompts]

    def grams(words: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
        return frozenset(words[place : place + 5] for place in range(max(1, len(words) - 4)))

    sets = [grams(words) for words in statements]
    assert kept(prompts, dedupe={"similarity": 1.0}) == [
        place for place, own in enumerate(sets) if own not in sets[:place]
    ]


def test_a_problem_repeats_only_what_is_in_the_dataset() -> None:
    """Not what has been examined and may still be dropped."""
    selection = Selection(rules(maxPromptTokens=1000, dedupe={"similarity": 0.9}), len)
    first, second = (selection.examine(problem(id, prompt=ALPHABET, source="made")) for id in "ab")
    assert isinstance(first, Candidate)
    assert isinstance(second, Candidate)
    assert selection.repeats(first) is None

    selection.take(first)

    assert selection.repeats(second) == Refusal("near_duplicate", "1.00 near to made a")


class Slow(Verifier):
    """Accepts solutions that are right, each after as many turns of the event loop as its id says."""

    def __init__(self) -> None:
        """Needs no sandbox."""

    async def verify(self, problem: Problem) -> Outcome:
        for _ in range(len(problem.id) % 7):
            await asyncio.sleep(0)
        return (
            Outcome(verified=True) if problem.solution == "right" else Outcome(refusal=Refusal("solution_wrong_answer"))
        )


PROBLEMS = st.lists(
    st.tuples(
        st.sampled_from(["a", "bb", "ccc", "dddd", "eeeee", "ffffff"]),
        st.sampled_from([ALPHABET, f"{ALPHABET} 1", f"{ALPHABET} 1 2", "another task", "a third one"]),
        st.sampled_from(["right", "wrong"]),
    ),
    max_size=15,
)


@settings(max_examples=40, deadline=None)
@given(PROBLEMS)
def test_what_is_kept_does_not_depend_on_how_many_solutions_run_at_once(given: list[tuple[str, str, str]]) -> None:
    """The same problems, dropped for the same reasons, whether one runs or all."""
    content = json_lines(problem(id, prompt=prompt, solution=solution) for id, prompt, solution in given)

    def selected(in_flight: int) -> tuple[list[str], Tally]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            source = DataSource(name="made", format="jsonl", uri=write(folder / "made.jsonl", content))
            selection = Selection(rules(maxPromptTokens=1000, dedupe={"similarity": 0.9}), len)
            files = [SourceContent(source, [NamedFile("", folder / "made.jsonl")])]
            tally = asyncio.run(select(files, selection, Slow(), folder, in_flight=in_flight))
            return [one.id for one in read_dataset(folder / "problems.parquet", "here")], tally

    assert selected(1) == selected(3) == selected(100)


def benchmark(folder: Path, content: bytes, **of_source: Any) -> SourceContent[DecontaminationSource]:
    """A file of problems to keep apart from."""
    uri = write(folder / "benchmark.jsonl", content)
    source = {"name": "bench", "format": "jsonl", "uri": uri, **of_source}
    return SourceContent(DecontaminationSource.model_validate(source), [NamedFile("", folder / "benchmark.jsonl")])


@pytest.mark.parametrize(
    ("prompt", "similarity", "refusal"),
    [
        (ALPHABET.upper(), 0.5, Refusal("contaminated", "1.00 near to bench held-out")),
        (f"{ALPHABET} 1", 22 / 23, Refusal("contaminated", "0.96 near to bench held-out")),
        (f"{ALPHABET} 1", 0.96, None),
        # 11 of 33: each has 22 5-grams.
        (" ".join(ALPHABET.split()[:15] + [str(n) for n in range(11)]), 0.5, None),
        ("another task", 0.5, None),
    ],
)
def test_what_is_near_to_a_benchmark_is_dropped(
    tmp_path: Path, prompt: str, similarity: float, refusal: Refusal | None
) -> None:
    """From the threshold on, whether or not near-duplicates are looked for."""
    content = json_lines([problem("held-out", prompt=ALPHABET), problem("else", prompt="quite another task")])
    benchmarks = read_benchmarks([benchmark(tmp_path, content, similarity=similarity)])

    examined = Selection(rules(maxPromptTokens=1000), len, benchmarks).examine(problem(prompt=prompt))

    assert (examined if isinstance(examined, Refusal) else None) == refusal


def test_rows_of_a_benchmark_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    """They are no reason to stop while others can be compared with."""
    (read,) = read_benchmarks([benchmark(tmp_path, json_lines([problem("a")]) + b"{}\n[]\n")])

    assert (len(read.statements), read.unreadable) == (1, 2)


@pytest.mark.parametrize(
    ("content", "reason", "said"),
    [
        (b"\n", "DataEmpty", "it has no problem that can be read, so nothing would be compared with it"),
        (b"[]\n", "DataEmpty", "it has no problem that can be read (line 1: "),
        (b"\x1f\x8b\x08broken", "Damaged", ""),
    ],
)
def test_a_benchmark_that_nothing_can_be_compared_with_is_refused(
    tmp_path: Path, content: bytes, reason: str, said: str
) -> None:
    """A dataset that claims to be apart from it would not be."""
    given = benchmark(tmp_path, content)

    with pytest.raises(PermanentError) as caught:
        read_benchmarks([given])

    assert caught.value.reason == reason
    assert str(caught.value).startswith(f'spec.data.decontaminate[bench].uri: "{given.source.uri}": {said}')


def key(digests: Digests = DIGESTS, tokenizer: str = "tt", **parts: Any) -> str:
    """The key of a run's dataset."""
    return dataset_key(resolved_run(**parts), digests, tokenizer)


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
        {"digests": Digests({"made": "ab"})},
        {"tokenizer": "uu"},
        {"data": {"minTests": 2}},
        {"data": {"maxPromptTokens": 63}},
        {"data": {"verifySolutions": "Required"}},
        {"data": {"dedupe": {"similarity": 0.95}}},
        {"data": {"decontaminate": APART}},
        {"data": {"sources": [{"name": "made", "format": "humaneval", "uri": "file:///problems.jsonl"}]}},
        {"data": {"sources": [{"name": "other", "format": "jsonl", "uri": "file:///problems.jsonl"}]}},
        {"data": {"sources": [{**SOURCES[0], "tests": {"maxCount": 15}}]}},
        {"data": {"sources": [{**SOURCES[0], "timeoutSeconds": 6}]}},
        {"data": {"sources": [{**SOURCES[0], "format": "livecodebench", "window": {"from": "2023-05-01"}}]}},
        {"sandbox": {"limits": {"timeoutSeconds": 7}}},
        {"sandbox": {"profile": "lcb-v5"}},
    ],
)
def test_what_shapes_a_dataset_changes_its_key(changes: dict[str, Any]) -> None:
    """Content, rules, tokenizer, and the limits and the profile that solutions are run under."""
    assert key(**changes) != key()


@pytest.mark.parametrize(
    ("changes", "digests"),
    [
        ({"name": "other"}, Digests({"made": "aa"}, {"other": "cc"})),
        ({"format": "jsonl"}, DIGESTS),
        ({"similarity": 0.6}, DIGESTS),
        ({}, Digests({"made": "aa"}, {"bench": "cd"})),
    ],
)
def test_what_a_dataset_is_kept_apart_from_shapes_it(changes: dict[str, Any], digests: Digests) -> None:
    """Name, format, threshold and content; but not where it lies."""
    apart = key(data={"decontaminate": APART})

    assert key(digests, data={"decontaminate": [APART[0] | changes]}) != apart
    assert key(data={"decontaminate": [APART[0] | {"uri": "s3://elsewhere/bench.jsonl"}]}) == apart


def rated_key(model: str = "commit:1", **parts: Any) -> str:
    """The key of a dataset whose problems are rated."""
    run = resolved_run(**{"data": RATED, **parts})
    assert run.spec.data.difficulty is not None
    return dataset_key(run, DIGESTS, "tt", rating_conditions(run, run.spec.data.difficulty, model, "tt"))


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "commit:2"},
        {"data": {"difficulty": {**RATED["difficulty"], "samplesPerPrompt": 5}}},
        {"data": {"difficulty": {**RATED["difficulty"], "keepBelow": 0.9}}},
        {"data": {"difficulty": {**RATED["difficulty"], "sources": ["made"]}}},
        {"algorithm": {"sampling": {"temperature": 0.7}}},
        {"stages": [{"name": "short", "maxResponseTokens": 13, "steps": 3}]},
        {"data": {**RATED, "verifySolutions": "Never"}},
        {"data": {**RATED, "verifySolutions": "Never"}, "sandbox": {"profile": "lcb-v5"}},
    ],
)
def test_what_decides_how_hard_problems_are_shapes_a_dataset(changes: dict[str, Any]) -> None:
    """Model, number of answers, bounds, whose problems, temperature, limit, and how answers are graded."""
    assert rated_key(**changes) != rated_key() != key()


def test_the_weights_and_the_sampling_matter_only_where_problems_are_rated() -> None:
    """Training's own seed and later stages never do: the same answers serve runs that differ in them."""
    assert key(algorithm={"sampling": {"temperature": 0.7}}) == key()
    assert rated_key(algorithm={"sampling": {"temperature": 1.0, "seed": 7}}) == rated_key()
    assert rated_key(stages=[{"name": "a", "maxResponseTokens": 12, "steps": 9}]) == rated_key()
    profile = {"sandbox": {"profile": "lcb-v5"}, "data": {**RATED, "verifySolutions": "Never"}}
    assert rated_key(**profile) != rated_key(data=profile["data"])


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


def test_a_sources_time_limit_is_that_of_its_problems_that_state_none() -> None:
    """And none where neither states one: the sandbox's limits say then."""
    timed = DataSource.model_validate({**SOURCES[0], "timeoutSeconds": 6})
    untimed = DataSource.model_validate(SOURCES[0])
    own = problem("a", timeout_seconds=2)
    found = [of_source(one, source) for source in (timed, untimed) for one in (own, problem("b"))]
    assert [one.timeout_seconds for one in found] == [2, 6, 2, None]
    assert {one.source for one in found} == {"made"}


async def test_a_solution_is_run_as_answers_will_be() -> None:
    """Under the profile and the limits of the run's sandbox."""
    sandbox = Sandbox()
    grading = SandboxSpec.model_validate({"profile": "rllm-main", "limits": {"timeoutSeconds": 7}})
    assert await Verifier(sandbox, grading, rules()).verify(problem("a")) == Outcome(verified=True)
    assert [(asked["profile"], asked["limits"].timeout_seconds) for asked in sandbox.asked] == [("rllm-main", 7)]
