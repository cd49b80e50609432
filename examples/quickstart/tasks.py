"""The quickstart's problems: keep some integers of a line, map each, print a summary. 12 x 12 x 12 concept triples.

Each concept has a phrase, the right code and a plausible wrong one; `{k}` is a constant drawn per problem.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import random
from dataclasses import dataclass
from types import CodeType

from deepcoder_api.problems import Problem, StdinTest

HELD_OUT = 128
HELD_OUT_TRIPLES = 192  # some cannot be told from their mistakes by any test, such as the absolute value of positives
TRAINING = 512
TESTS = 3
CANDIDATES = 60
RIGHTS = sorted(itertools.product((True, False), repeat=3), key=lambda right: -sum(right))  # the solution comes first
SINGLE_MISTAKES = frozenset(range(3))  # after it come the programs with one mistake
SPLIT_SEED = 1234  # the split is the same for every model, so that scores compare


@dataclass(frozen=True)
class Concept:
    """One idea that a statement names: `right` is its code, `wrong` the mistake that the base model is taught."""

    phrase: str
    right: str
    wrong: str


FILTERS = tuple(
    Concept(*row)
    for row in (
        ("even", "x%2==0", "x%2==1"),
        ("odd", "x%2==1", "x%2==0"),
        ("positive", "x>0", "x>=0"),
        ("negative", "x<0", "x<=0"),
        ("greater than {k}", "x>{k}", "x>={k}"),
        ("at least {k}", "x>={k}", "x>{k}"),
        ("less than {k}", "x<{k}", "x<={k}"),
        ("at most {k}", "x<={k}", "x<{k}"),
        ("divisible by {k}", "x%{k}==0", "x//{k}==0"),
        ("not divisible by {k}", "x%{k}!=0", "x%{k}==0"),
        ("different from {k}", "x!={k}", "x=={k}"),
        ("within {k} of zero", "abs(x)<={k}", "abs(x)<{k}"),
    )
)
MAPS = tuple(
    Concept(*row)
    for row in (
        ("square", "x*x", "x*2"),
        ("double", "x*2", "x*x"),
        ("triple", "x*3", "x+3"),
        ("negate", "-x", "abs(x)"),
        ("take the absolute value of", "abs(x)", "-x"),
        ("add {k} to", "x+{k}", "x-{k}"),
        ("subtract {k} from", "x-{k}", "{k}-x"),
        ("multiply by {k}", "x*{k}", "x+{k}"),
        ("subtract from {k}", "{k}-x", "x-{k}"),
        ("halve (round down)", "x//2", "x/2"),
        ("take modulo {k} of", "x%{k}", "x//{k}"),
        ("cube", "x**3", "x*3"),
    )
)
SUMMARIES = tuple(
    Concept(*row)
    for row in (
        ("the sum", "sum(a)", "len(a)"),
        ("the maximum", "max(a)", "min(a)"),
        ("the minimum", "min(a)", "a[0]"),
        ("how many there are", "len(a)", "sum(a)"),
        ("how many distinct values there are", "len(set(a))", "len(a)"),
        ("the first one", "a[0]", "a[1]"),
        ("the last one", "a[-1]", "a[0]"),
        ("the largest minus the smallest", "max(a)-min(a)", "max(a)"),
        ("them in increasing order", "*sorted(a)", "*a"),
        ("them in reverse order", "*a[::-1]", "*sorted(a)"),
        ("the integer average", "sum(a)//len(a)", "sum(a)/len(a)"),
        ("the sum of the distinct values", "sum(set(a))", "sum(a)"),
    )
)
CONCEPTS = (FILTERS, MAPS, SUMMARIES)
Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Task:
    """A concept triple with its constants and one of two wordings."""

    triple: Triple
    constants: tuple[int, int]
    wording: int

    @property
    def statement(self) -> str:
        """What the model reads."""
        keep, change, summary = (
            CONCEPTS[place][index].phrase.format(k=k)
            for place, index, k in zip(range(3), self.triple, (*self.constants, 0), strict=True)
        )
        if self.wording == 0:
            return f"Read integers. Keep those that are {keep}, {change} each one, then print {summary}."
        return f"Given a line of integers, select the ones {keep}; {change} each of them and output {summary}."

    def program(self, right: tuple[bool, bool, bool] = (True, True, True)) -> str:
        """The solution, or a program that makes the mistake of each concept whose entry is False."""
        keep, change, summary = (
            (concept.right if good else concept.wrong).format(k=k)
            for concept, good, k in zip(self._concepts(), right, (*self.constants, 0), strict=True)
        )
        return f"a=[int(x) for x in input().split()]\na=[{change} for x in a if {keep}]\nprint({summary})\n"

    def _concepts(self) -> list[Concept]:
        return [CONCEPTS[place][index] for place, index in enumerate(self.triple)]


def draw_task(triple: Triple, random_numbers: random.Random) -> Task:
    """A task of `triple` with constants of 2 to 9."""
    constants = (random_numbers.randint(2, 9), random_numbers.randint(2, 9))
    return Task(triple, constants, random_numbers.randint(0, 1))


def split() -> tuple[list[Triple], list[Triple]]:
    """(training, held-out) triples: disjoint, in a fixed random order. Warm start uses training triples only."""
    triples = [(i, j, k) for i in range(12) for j in range(12) for k in range(12)]
    random.Random(SPLIT_SEED).shuffle(triples)
    return triples[HELD_OUT_TRIPLES:], triples[:HELD_OUT_TRIPLES]


def training_problems() -> list[Problem]:
    """The problems of the training run."""
    return _problems("train", split()[0], TRAINING)


def held_out_problems() -> list[Problem]:
    """The problems that the model is measured on, of triples that training and warm start never see."""
    return _problems("held-out", split()[1], HELD_OUT)


def make_problem(name: str, task: Task, random_numbers: random.Random) -> Problem | None:
    """`task` with TESTS tests, or None when none are found that tell each of its mistakes from the solution.

    Few tests that are chosen well: grading is what a training step waits for.
    """
    solution, *mistaken = (compile(task.program(right), name, "exec") for right in RIGHTS)
    caught: dict[str, frozenset[int]] = {}  # by line of input: the mistaken programs that fail on it
    outputs: dict[str, str] = {}
    for _ in range(CANDIDATES):
        line = " ".join(map(str, _numbers(task, random_numbers)))
        output = _run(solution, line)
        if output is not None:
            outputs[line] = output
            caught[line] = frozenset(i for i, program in enumerate(mistaken) if _run(program, line) != output)
    lines = _choose(caught)
    if len(lines) < TESTS or not frozenset().union(*(caught[line] for line in lines)) >= SINGLE_MISTAKES:
        return None
    return Problem(
        id=name,
        prompt=task.statement,
        tests=tuple(StdinTest(input=line + "\n", output=outputs[line]) for line in lines),
        solution=task.program(),
        source="quickstart",
        metadata={"concepts": " ".join(map(str, task.triple))},
    )


def _choose(caught: dict[str, frozenset[int]]) -> list[str]:
    """TESTS lines, each the one that catches most of what those before it let through."""
    lines, through = list[str](), frozenset(range(len(RIGHTS) - 1))
    for _ in range(min(TESTS, len(caught))):
        rest = [line for line in caught if line not in lines]
        lines.append(max(rest, key=lambda line: (len(caught[line] & through), len(caught[line]))))
        through -= caught[lines[-1]]
    return lines


def _problems(prefix: str, triples: list[Triple], count: int) -> list[Problem]:
    random_numbers = random.Random(SPLIT_SEED + len(prefix))
    made = (
        make_problem(f"{prefix}/{'-'.join(map(str, triple))}", draw_task(triple, random_numbers), random_numbers)
        for triple in triples
    )
    problems = [problem for problem, _ in zip((problem for problem in made if problem), range(count), strict=False)]
    if len(problems) < count:
        raise ValueError(f"{prefix}: only {len(problems)} of {count} problems have tests that tell mistakes apart")
    return problems


def _numbers(task: Task, random_numbers: random.Random) -> list[int]:
    special = task.constants[0]  # the border that filters are right or wrong at
    return [
        random_numbers.choice([random_numbers.randint(-12, 12), special, -special, 0])
        for _ in range(random_numbers.randint(4, 9))
    ]


def _run(program: CodeType, line: str) -> str | None:
    """What a program of ours prints on `line`, or None when it raises: the programs come from the table above."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(program, {"__name__": "__main__", "input": lambda: line})
    except (ArithmeticError, IndexError, ValueError):
        return None
    return printed.getvalue()
