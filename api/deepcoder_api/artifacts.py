"""What lies in S3 and where: the layout of a prefix, the marker files, and the rows of samples. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from deepcoder_api.problems import Strict

COMPLETE = "complete.json"
HEAD = "head.json"


@dataclass(frozen=True)
class RunPaths:
    """The keys of one TrainingRun under its storage prefix; each is a full s3:// URI without a trailing slash."""

    storage_uri: str
    namespace: str
    name: str
    uid: str

    @property
    def root(self) -> str:
        """Everything of this run and of no other: the uid keeps a re-created run of the same name apart."""
        return f"{self.storage_uri.rstrip('/')}/runs/{self.namespace}/{self.name}/{self.uid[:8]}"

    @property
    def head(self) -> str:
        """The fence: names the attempt that may commit and the last committed checkpoint."""
        return f"{self.root}/{HEAD}"

    @property
    def config(self) -> str:
        """The resolved run, for whoever finds the folder later."""
        return f"{self.root}/run.json"

    @property
    def checkpoints(self) -> str:
        """The folder of all checkpoints."""
        return f"{self.root}/checkpoints"

    def checkpoint(self, step: int) -> str:
        """The folder of the checkpoint after `step` steps."""
        return f"{self.checkpoints}/step-{step:06d}"

    def journal(self, step: int) -> str:
        """The graded batch that step `step` consumes (steps count from 1)."""
        return f"{self.root}/journal/step-{step:06d}.parquet"

    def samples(self, step: int) -> str:
        """The answers of step `step`, with verdicts, for people and analysis."""
        return f"{self.root}/samples/step-{step:06d}.parquet"

    @property
    def report(self) -> str:
        """The RunReport as JSON: the figures of the steps up to a checkpoint."""
        return f"{self.root}/report.json"

    @property
    def report_page(self) -> str:
        """The same for people."""
        return f"{self.root}/report.html"

    @property
    def tensorboard(self) -> str:
        """The folder that TensorBoard is pointed at; one file, which only grows."""
        return f"{self.root}/tensorboard"

    @property
    def event_file(self) -> str:
        """TensorBoard's event file."""
        return f"{self.tensorboard}/events.out.tfevents.0.{self.uid[:8]}"

    @property
    def figures(self) -> str:
        """The folder of the figures of steps that the report does not hold yet."""
        return f"{self.root}/figures"

    def step_figures(self, step: int) -> str:
        """The StepFigures of step `step`."""
        return f"{self.figures}/step-{step:06d}.json"

    def validation(self, step: int) -> str:
        """The measurement after step `step`: this name with .parquet for its answers, and with .json when all is in."""
        return f"{self.root}/validation/step-{step:06d}"


def holds_folder(checkpoint: str) -> str:
    """The folder of the Holds on a checkpoint, beside the folder of all checkpoints of its run."""
    root, _, step = checkpoint.rstrip("/").rpartition("/checkpoints/")
    return f"{root}/holds/{step}"


def dataset_uri(storage_uri: str, key: str) -> str:
    """The folder of a prepared dataset with content key `key`."""
    return f"{storage_uri.rstrip('/')}/datasets/{key}"


def ratings_uri(storage_uri: str, conditions: str) -> str:
    """The folder of a base model's answers, given and graded under the conditions of that key; a file a problem."""
    return f"{storage_uri.rstrip('/')}/ratings/{conditions}"


@dataclass(frozen=True)
class EvaluationPaths:
    """The keys of one Evaluation under its storage prefix."""

    storage_uri: str
    namespace: str
    name: str
    uid: str

    @property
    def root(self) -> str:
        """Everything of this evaluation and of no other."""
        return f"{self.storage_uri.rstrip('/')}/{self.namespace}/evaluations/{self.name}/{self.uid[:8]}"

    @property
    def samples(self) -> str:
        """Every answer with its verdicts."""
        return f"{self.root}/samples.parquet"

    @property
    def report(self) -> str:
        """The EvaluationReport as JSON."""
        return f"{self.root}/report.json"


class FileDigest(Strict):
    """One file of a completed folder."""

    path: str = Field(description="Relative to the folder, with forward slashes.")
    bytes: int
    sha256: str


class Completion(Strict):
    """complete.json: written last; without it the folder does not exist."""

    files: tuple[FileDigest, ...]
    metadata: dict[str, str] = Field(default_factory=dict)

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)


class Head(Strict):
    """head.json: only a writer that knows its ETag, and whose attempt is not older, may replace it."""

    attempt: int = Field(ge=1)
    checkpoint: str | None = None
    step: int = Field(default=0, ge=0)
    time: str | None = None


class Hold(Strict):
    """holds/step-N/ID.json: somebody reads this checkpoint, which is not pruned until then."""

    holder: str = Field(description="Who, for people.")
    expires: str = Field(description="Until when, RFC 3339; it is renewed meanwhile.")


class ValidationResult(Strict):
    """validation/step-N.json: what the weights after a step scored on problems that are never trained on."""

    step: int = Field(ge=0)
    stage: str
    max_response_tokens: int
    temperature: float
    problems: int
    samples: int
    pass_at_1: float = Field(description="Share of the answers that were accepted, over all problems.")
    pass_at_1_by_source: dict[str, float]
    truncated_fraction: float
    mean_answer_tokens: float
    verdicts: dict[str, int]
    seconds: float
    attempt: int


class Drop(Strict):
    """Rows of one source that are not in a dataset, for one reason."""

    reason: str
    count: int
    examples: tuple[str, ...] = Field(description="The first of them, for people: which row, and what is wrong.")


class SourceReport(Strict):
    """One source of a dataset: what it held, and what came of it."""

    name: str
    format: str
    uri: str = Field(description="Where it was read when the dataset was made; an equal source may lie elsewhere.")
    sha256: str = Field(description="Digest of its content.")
    read: int = Field(description="Rows read.")
    kept: int = Field(description="Problems in the dataset.")
    verified: int = Field(description="Problems whose own solution was accepted by the sandbox.")
    duplicate_tests: int = Field(description="Tests taken out because the same problem has them twice.")
    drops: tuple[Drop, ...] = Field(description="The most frequent reason first.")


class DecontaminationReport(Strict):
    """A source that no problem of the dataset may be near to."""

    name: str
    format: str
    uri: str
    sha256: str
    similarity: float = Field(description="A problem with this Jaccard similarity, or more, was dropped.")
    problems: int = Field(description="Problems that were compared with.")
    unreadable: int = Field(description="Rows that could not be read, so that nothing was compared with them.")


class DatasetRules(Strict):
    """What a problem had to pass, as the specification said."""

    min_tests: int
    max_prompt_tokens: int
    verify_solutions: str
    dedupe_similarity: float | None = Field(description="None: near-duplicates were not looked for.")


class Histogram(Strict):
    """How a whole number is spread over the problems of a dataset."""

    name: str
    unit: str
    edges: tuple[int, ...] = Field(description="One more than counts: bin i holds edges[i] <= value < edges[i + 1].")
    counts: tuple[int, ...]
    minimum: int
    median: float
    mean: float
    maximum: int


class DifficultyReport(Strict):
    """How hard the problems were for the base model, those among them that were dropped for it."""

    samples_per_prompt: int
    keep_above: float | None
    keep_below: float | None
    sources: tuple[str, ...] = Field(description="Whose problems were rated.")
    temperature: float
    max_response_tokens: int
    model: str = Field(description="What tells the model from any other: its commit, or a digest.")
    answers: str = Field(description="URI of the folder that has all answers.")
    problems: int = Field(description="Problems rated.")
    accepted: Histogram | None = Field(description="Accepted answers of a problem; None when none was rated.")
    mean_pass_rate: float = Field(description="Accepted answers over all answers.")
    truncated_fraction: float = Field(description="Share of the answers that were cut at the limit.")


class DatasetReport(Strict):
    """report.json of a prepared dataset: what was read, kept and dropped, and by which rules."""

    key: str
    problems: int
    verified: int = Field(description="Problems whose own solution was accepted by the sandbox.")
    tests: int
    seconds: float
    rules: DatasetRules
    sources: tuple[SourceReport, ...] = Field(description="In the order of the specification.")
    decontamination: tuple[DecontaminationReport, ...]
    difficulty: DifficultyReport | None = Field(default=None, description="None: no problem was rated.")
    histograms: tuple[Histogram, ...]
    software: dict[str, str] = Field(description="Versions of what made it.")

    @property
    def read(self) -> dict[str, int]:
        """Rows read, by source."""
        return {source.name: source.read for source in self.sources}

    @property
    def kept(self) -> dict[str, int]:
        """Problems kept, by source."""
        return {source.name: source.kept for source in self.sources}

    @property
    def dropped(self) -> dict[str, int]:
        """Rows dropped, by reason, over all sources."""
        counts: dict[str, int] = {}
        for drop in (drop for source in self.sources for drop in source.drops):
            counts[drop.reason] = counts.get(drop.reason, 0) + drop.count
        return counts


class StepFigures(Strict):
    """What one step came to. Absent numbers were not measured: those of training in a step without any loss."""

    step: int = Field(ge=1)
    stage: str
    attempt: int = Field(ge=1, description="The attempt that trained it first.")
    time: str = Field(description="When it was over, RFC 3339.")
    answers: int
    reward: float = Field(description="Mean over answers, 0 to 1.")
    truncated: float = Field(description="Share of answers cut at the limit.")
    answer_tokens: int
    shortest_answer: int = Field(description="In tokens, as the two that follow.")
    median_answer: float
    longest_answer: int
    groups_without_signal: int
    verdicts: dict[str, int]
    training: dict[str, float] = Field(
        description="Of the ranks: loss, gradient_norm, entropy, sampler_kl (nats a token), learning_rate and others."
    )
    seconds: dict[str, float] = Field(description="Wall clock by part of the step.")


class ReportStage(Strict):
    """A stage of a run: its response limit, and the step that it begins with."""

    name: str
    max_response_tokens: int
    first_step: int
    steps: int


class RunReport(Strict):
    """report.json of a TrainingRun: every step's figures, over all attempts."""

    namespace: str
    name: str
    uid: str
    model: str
    preset: str
    total_steps: int
    stages: tuple[ReportStage, ...]
    steps: tuple[StepFigures, ...] = Field(
        description="In order; a step that was trained again keeps its first figures."
    )


SAMPLE_COLUMNS = (
    "problem",
    "prompt",
    "answer",
    "prompt_ids",
    "answer_ids",
    "log_probabilities",
    "versions",
    "finish_reason",
    "verdict",
    "test_verdicts",
    "reward",
    "epoch",
)
"""Columns of samples and journal parquet: problem id, prompt and answer as text and token ids, log-probability and
policy version of each answer token, finish reason, verdict, verdict of each test run, the reward, and the pass over the
dataset that drew the problem. The journal adds `group` (index of the prompt in the step) and `advantage`."""

EVALUATION_SAMPLE_COLUMNS = (
    "benchmark",
    "problem",
    "repeat",
    "sample",
    "seed",
    "prompt",
    "answer",
    "answer_ids",
    "finish_reason",
    "prompt_tokens",
    "answer_tokens",
    "seconds",
    "context_length",
    "exact",
    "verdict",
    "test_verdicts",
    "detail",
    "shorter",
)
"""Columns of an Evaluation's samples parquet, one row an answer: benchmark and problem, the repeat and the index among
the problem's answers in it, its seed, prompt and answer as text, the answer's token ids (null where the engine does not
tell them), finish reason, their lengths in tokens, seconds from asking to the last token, the response limit in tokens,
whether cuts at shorter limits are exact, verdict, verdict of each test run, one line for people, and the same for each
shorter limit that was scored: {context_length, finish_reason, verdict, test_verdicts, detail}."""
