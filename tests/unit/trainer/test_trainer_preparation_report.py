"""The report of a dataset: what is counted, how it is drawn, and that it is a page of its own."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_api.artifacts import DatasetReport, Drop
from deepcoder_api.difficulty_spec import Difficulty
from deepcoder_api.specification import SandboxLimits
from deepcoder_api.training_run import DataSpec
from deepcoder_trainer.preparation.histograms import MOST_BINS, histogram
from deepcoder_trainer.preparation.keys import Digests
from deepcoder_trainer.preparation.rating_conditions import RatingConditions
from deepcoder_trainer.preparation.report import dataset_report, difficulty_report
from deepcoder_trainer.preparation.report_page import HEIGHT, WIDTH, bars, report_page
from deepcoder_trainer.preparation.report_table import report_table
from deepcoder_trainer.preparation.selection import Candidate
from deepcoder_trainer.preparation.tally import Tally
from tests.problem_builders import problem

RULES = DataSpec.model_validate(
    {
        "sources": [
            {"name": "made", "format": "jsonl", "uri": "s3://bucket/x.jsonl"},
            {"name": "human-eval", "format": "humaneval", "uri": "s3://bucket/<y>.jsonl"},
        ],
        "dedupe": {"similarity": 0.95},
    }
)
DIGESTS = Digests({"made": "aa" * 32, "human-eval": "bb" * 32})


def candidate(id: str, source: str = "made", *, tokens: int = 10, repeated: int = 0) -> Candidate:
    """A problem with two tests."""
    return Candidate(problem(id, source=source), tokens, repeated, None)


def counted() -> Tally:
    """Two sources: six rows of one, three kept; two of the other, one kept."""
    tally = Tally()
    tally.sources["made"].read = 6
    tally.sources["human-eval"].read = 2
    tally.keep(candidate("a", tokens=7, repeated=2), verified=True)
    tally.keep(candidate("b", tokens=30, repeated=1), verified=False)
    tally.keep(candidate("c", tokens=30), verified=True)
    tally.keep(candidate("d", "human-eval", tokens=100), verified=True)
    tally.drop("made", "no_tests", "e")
    tally.drop("made", "near_duplicate", "f: 0.97 near to made a")
    tally.drop("made", "near_duplicate", "g: 0.96 near to made b")
    tally.drop("human-eval", "near_duplicate", "<script>alert(1)</script>")
    return tally


@pytest.fixture
def report() -> DatasetReport:
    """What is made of it."""
    return dataset_report("k" * 32, RULES, DIGESTS, counted(), (), 1.23456)


def test_the_summary_counts_by_reason_with_an_example() -> None:
    """One line for people: what is kept, what is verified, and why the rest is not."""
    assert counted().summary() == (
        "4 problems kept of 8, 3 verified; dropped: near_duplicate 3 (first: made f: 0.97 near to made a), "
        "no_tests 1 (first: made e)"
    )


def test_drops_are_counted_by_source_and_reason(report: DatasetReport) -> None:
    """The most frequent first, each with its first examples."""
    made, human_eval = report.sources

    assert made.drops == (
        Drop(reason="near_duplicate", count=2, examples=("f: 0.97 near to made a", "g: 0.96 near to made b")),
        Drop(reason="no_tests", count=1, examples=("e",)),
    )
    assert [drop.count for drop in human_eval.drops] == [1]
    assert (made.read, made.kept, made.verified, made.duplicate_tests) == (6, 3, 2, 3)
    assert (made.sha256, human_eval.sha256) == ("aa" * 32, "bb" * 32)
    assert (report.read, report.kept) == ({"made": 6, "human-eval": 2}, {"made": 3, "human-eval": 1})
    assert report.dropped == {"near_duplicate": 3, "no_tests": 1}
    assert (report.problems, report.tests, report.verified) == (4, 8, 3)
    assert report.rules.dedupe_similarity == 0.95


def test_only_the_first_examples_are_kept_and_cut() -> None:
    """A report of 25,000 drops stays short."""
    tally = Tally()
    for number in range(10):
        tally.drop("made", "no_tests", f"{number} {'x' * 1000}")

    (drop,) = tally.sources["made"].drops()
    assert drop.count == 10
    assert [example[:2] for example in drop.examples] == ["0 ", "1 ", "2 "]
    assert {len(example) for example in drop.examples} == {300}


def test_what_is_measured(report: DatasetReport) -> None:
    """Tests of a problem, tokens of its prompt, and the bytes of its tests as canonical JSON."""
    tests, tokens, size = report.histograms

    assert (tests.edges, tests.counts) == ((2, 3), (4,))
    assert (tokens.minimum, tokens.median, tokens.mean, tokens.maximum) == (7, 30, 41.75, 100)
    assert sum(tokens.counts) == 4
    one = '{"input":"2\\n","kind":"stdin","output":"4\\n"}'
    another = '{"input":"21\\n","kind":"stdin","output":"42\\n"}'
    assert (size.minimum, size.maximum) == (len(one) + len(another), len(one) + len(another))


@pytest.mark.parametrize(
    ("values", "edges", "counts"),
    [
        ([5], [5, 6], [1]),
        ([0, 0], [0, 1], [2]),
        ([1, 2, 2, 4], [1, 2, 3, 4, 5], [1, 2, 0, 1]),
        ([0, 19], [*range(21)], [1, *[0] * 18, 1]),
        ([0, 20], [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22], [1, *[0] * 9, 1]),
        ([101, 399], [*range(100, 401, 20)], [1, *[0] * 13, 1]),
        ([1, 2, 3, 1000], [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024], [1, 2, 0, 0, 0, 0, 0, 0, 0, 1]),
        ([0, 1, 600], [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024], [1, 1, *[0] * 8, 1]),
    ],
)
def test_bins_are_round_numbers(values: list[int], edges: list[int], counts: list[int]) -> None:
    """Equal bins of 1, 2 or 5 times a power of ten; doubling ones where the largest is over 500 times the least."""
    found = histogram("x", "units", values)

    assert (list(found.edges), list(found.counts)) == (edges, counts)


@given(st.lists(st.integers(0, 2**40), min_size=1))
def test_every_value_is_in_its_bin(values: list[int]) -> None:
    """Bins meet, none is empty at either end, and each value is in one."""
    found = histogram("x", "units", values)

    spans = list(zip(found.edges, found.edges[1:], strict=False))
    assert [sum(low <= value < high for value in values) for low, high in spans] == list(found.counts)
    assert sum(found.counts) == len(values)
    assert found.counts[0] > 0
    assert found.counts[-1] > 0
    assert len(spans) <= max(MOST_BINS, 42)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=500))
def test_bars_stand_side_by_side_and_are_as_high_as_they_count(values: list[int]) -> None:
    """The highest fills the plot, an empty bin has none, and no other is too low to be seen."""
    given = histogram("x", "units", values)

    drawn = bars(given)

    assert drawn[-1].x + drawn[-1].width == pytest.approx(WIDTH)
    assert [bar.x for bar in drawn[1:]] == [pytest.approx(bar.x + bar.width) for bar in drawn[:-1]]
    highest = max(given.counts)
    for bar, count in zip(drawn, given.counts, strict=True):
        assert bar.height == (pytest.approx(max(1, HEIGHT * count / highest)) if count else 0)
        assert bar.y + bar.height == pytest.approx(HEIGHT)


def test_the_table_of_the_log(report: DatasetReport) -> None:
    """A line for each source, its reasons under it, and the sum; then the sizes."""
    assert report_table(report).splitlines() == [
        "source            read  kept  verified  dropped",
        "-----------------------------------------------",
        "made                 6     3         2        3",
        "  near_duplicate                              2",
        "  no_tests                                    1",
        "human-eval           2     1         1        1",
        "  near_duplicate                              1",
        "all                  8     4         3        4",
        "Tests per problem: 2 to 2 tests, median 2",
        "Prompt length: 7 to 100 tokens, median 30",
        "Size of a problem's tests: 92 to 92 bytes as JSON, median 92",
    ]


class Page(HTMLParser):
    """What a page refers to and which elements it has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [str(value) for name, value in attrs if name in ("src", "href", "xlink:href", "action")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def text(self) -> Iterator[str]:
        """The words between the elements, white space aside."""
        return (word.strip() for word in self.words if word.strip())


def test_the_page_needs_nothing_else(report: DatasetReport) -> None:
    """No script, no reference to another file, no import in its style; what problems say is text."""
    content = report_page(report)
    page = Page(content)

    assert page.references == []
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert "@import" not in content
    assert "url(" not in content
    assert "<script>alert(1)</script>" in list(page.text())
    assert page.tags.count("svg") == 3


def test_the_page_says_what_the_report_says(report: DatasetReport) -> None:
    """Sources, reasons with examples, and rules."""
    text = list(Page(report_page(report)).text())

    for expected in (
        "made",
        "human-eval",
        "near_duplicate",
        "no_tests",
        "f: 0.97 near to made a",
        "s3://bucket/<y>.jsonl",
    ):
        assert expected in text
    assert "similarity 0.95" in text
    assert "Compared with no benchmark." in text


def test_a_report_comes_back_as_it_was_written(report: DatasetReport) -> None:
    """report.json is read again when an equal dataset is asked for."""
    assert DatasetReport.model_validate_json(report.model_dump_json()) == report


CONDITIONS = RatingConditions(
    model="commit:abc", tokenizer="tt", samples_per_prompt=4, temperature=0.6, max_response_tokens=16384,
    precision="bf16", profile="strict", limits=SandboxLimits(),
)  # fmt: skip


def rated(*accepted: int, **difficulty: float) -> DatasetReport:
    """A report of problems with so many of four answers accepted, two of all of them truncated."""
    tally = counted()
    for number, one in enumerate(accepted):
        tally.rate(one, truncated=2 if number == 0 else 0)
    rules = RULES.model_copy(
        update={"difficulty": Difficulty.model_validate({"samplesPerPrompt": 4, "keepAbove": 0.0, **difficulty})}
    )
    hard = difficulty_report(rules, CONDITIONS, "s3://bucket/ratings/x", tally)
    return dataset_report("k" * 32, rules, DIGESTS, tally, (), 1.0, hard)


def test_how_hard_problems_were_is_shown_with_those_that_were_dropped() -> None:
    """Shares over all answers, a bar for each number of accepted ones, in table and page."""
    report = rated(0, 0, 1, 4, keepBelow=0.9)
    assert report.difficulty is not None
    assert (report.difficulty.mean_pass_rate, report.difficulty.truncated_fraction) == (5 / 16, 2 / 16)
    assert report.difficulty.sources == ("made", "human-eval")
    assert report.difficulty.accepted is not None
    assert (report.difficulty.accepted.edges, report.difficulty.accepted.counts) == (
        (0, 1, 2, 3, 4, 5),
        (2, 1, 0, 0, 1),
    )
    assert report_table(report).splitlines()[-1] == (
        "Difficulty: of the base model's 4 answers to each of 4 problems "
        "31.2% were accepted and 12.5% were cut at the limit"
    )
    content = report_page(report)
    assert Page(content).tags.count("svg") == 4
    for said in ("above 0 and below 0.9", "commit:abc", "s3://bucket/ratings/x", "at most 16,384 tokens", "31.2 %"):
        assert said in content
    assert DatasetReport.model_validate_json(report.model_dump_json()) == report


def test_a_dataset_of_which_nothing_was_rated_has_no_plot_of_it() -> None:
    """As when every problem of the named sources was dropped before."""
    report = rated()
    assert report.difficulty is not None
    assert (report.difficulty.problems, report.difficulty.accepted, report.difficulty.mean_pass_rate) == (0, None, 0)
    assert Page(report_page(report)).tags.count("svg") == 3
    assert "Kept where the accepted share was" in report_page(report)


def test_a_report_of_before_problems_were_rated_is_read_as_it_is(report: DatasetReport) -> None:
    """Its dataset is reused."""
    written = report.model_dump(mode="json")
    del written["difficulty"]
    assert DatasetReport.model_validate(written) == report
    assert "Not asked of the base model." in report_page(report)
