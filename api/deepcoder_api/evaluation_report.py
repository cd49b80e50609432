"""report.json of an Evaluation: the scores, and everything that another lab needs to repeat them. No I/O."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from deepcoder_api.grading import Limits
from deepcoder_api.problems import Strict

REPORT_FORMAT = "deepcoder.dev/evaluation-report/1"


class GroupScore(Strict):
    """The score over the problems of one group, such as those of one month."""

    problems: int
    pass_at_1: float


class LengthScore(Strict):
    """The score at one response limit. `pass_at_1` is the mean over problems of the share of accepted answers."""

    tokens: int = Field(description="The response limit in tokens.")
    exact: bool = Field(
        description="Whether answers were cut at the token ids that the engine gave; else they were tokenised again."
    )
    pass_at_1: float
    interval: tuple[float, float] = Field(description="95 % bootstrap interval of pass@1 over problems.")
    pass_at_k: dict[str, float] = Field(description="Unbiased estimates by k, as far as there are answers.")
    repeats: tuple[float, ...] = Field(description="pass@1 of each repeat.")
    standard_deviation: float | None = Field(description="Of the repeats, unbiased; None for one.")
    truncated_fraction: float = Field(description="Share of answers that the limit cut.")
    verdicts: dict[str, int]
    subsets: dict[str, float] = Field(description="pass@1 by a part of the tests only, such as HumanEval+'s base.")
    groups: dict[str, dict[str, GroupScore]] = Field(
        description="By what the problems say of themselves: difficulty, platform, month."
    )
    rating: float | None = Field(default=None, description="The Codeforces rating at this limit, not rounded.")


class ContestRating(Strict):
    """One contest: what the model scored there, and the rating at which that rank would be expected."""

    contest: str
    problems: int = Field(description="Problems of the contest that were answered.")
    solved: int
    score: float
    penalty: float
    rank: int | None = Field(description="Rated participants who did not do worse.")
    participants: int = Field(description="Rated participants in the standings.")
    rating: int | None
    skipped: str | None = Field(description="Why the contest does not count.")


class RatingReport(Strict):
    """A Codeforces rating, computed as CodeElo does."""

    rating: float | None = Field(description="Mean over the contests that count, not rounded; None without any.")
    percentile: float | None = Field(description="Share of rated users below, in percent, to one decimal.")
    tests: Literal["samples", "full"] = Field(description="What the answers had to pass.")
    submissions: int = Field(description="Answers to a problem that counted as submissions.")
    contests: tuple[ContestRating, ...]


class LengthHistogram(Strict):
    """How long the answers are: bin i holds edges[i] <= tokens < edges[i + 1]."""

    edges: tuple[int, ...]
    accepted: tuple[int, ...]
    others: tuple[int, ...]


class BenchmarkReport(Strict):
    """What one benchmark was, and its scores by response limit, ascending; the last is the evaluation's own."""

    name: str
    kind: str
    uri: str
    sha256: str = Field(description="Digest of the files that the problems were read from.")
    problems_sha256: str = Field(description="Digest of the problems as they were asked and graded, in their order.")
    settings: dict[str, str] = Field(description="What else chose the problems: release, window.")
    extraction: str = Field(description="The rule that takes the program out of an answer.")
    problems: int
    left_out: dict[str, int] = Field(description="Rows that the window left out, by reason.")
    samples: int = Field(description="Answers.")
    samples_per_prompt: int
    repeats: int
    scores: tuple[LengthScore, ...] = Field(min_length=1)
    mean_answer_tokens: float
    lengths: LengthHistogram
    rating: RatingReport | None = None

    @property
    def final(self) -> LengthScore:
        """The score at the evaluation's own response limit."""
        return self.scores[-1]

    @property
    def pass_at_1(self) -> float:
        """pass@1 there."""
        return self.final.pass_at_1

    @property
    def truncated_fraction(self) -> float:
        """Share of answers that were cut there."""
        return self.final.truncated_fraction

    @property
    def verdicts(self) -> dict[str, int]:
        """How many answers came to each verdict there."""
        return self.final.verdicts


class MeasuredModel(Strict):
    """The model. A digest is None where it cannot be known, such as that of a model behind somebody's endpoint."""

    uri: str
    name: str
    digest: str | None
    tokenizer_sha256: str | None = Field(description="Of the tokenizer's files, chat template included.")
    chat_template_sha256: str | None


class Engine(Strict):
    """What answered."""

    kind: str
    version: str
    arguments: tuple[str, ...] = Field(description="Those of its command that shape answers.")


class AnswerSampling(Strict):
    """How answers were sampled; each answer's seed is hashed from `seed`, the problem and the sample."""

    temperature: float
    top_p: float
    max_tokens: int
    samples_per_prompt: int
    seed: int
    system_prompt: str | None
    named: dict[str, float] = Field(
        default_factory=dict,
        description="What each request turned off besides (top_k, min_p, penalties), so that the model's own "
        "generation_config.json adds nothing. Empty: what the server holds as its defaults applied.",
    )


class Grader(Strict):
    """Whose rules said what is right, and where programs ran."""

    profile: str
    limits: Limits
    isolation: str


class EvaluationReport(Strict):
    """The whole."""

    format: Literal["deepcoder.dev/evaluation-report/1"] = REPORT_FORMAT
    namespace: str
    name: str
    model: MeasuredModel
    engine: Engine
    sampling: AnswerSampling
    grader: Grader
    benchmarks: tuple[BenchmarkReport, ...]
    warnings: tuple[str, ...] = Field(description="What a reader of the scores should know.")
    seconds: float = Field(description="Of the evaluator's last life; answers of earlier ones were kept.")
    software: dict[str, str]
