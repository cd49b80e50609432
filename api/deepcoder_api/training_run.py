"""TrainingRun: what a user writes to train a model, and the status that comes back."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from deepcoder_api.algorithm_spec import AlgorithmSpec
from deepcoder_api.difficulty_spec import Difficulty
from deepcoder_api.problems import MAX_TEST_SECONDS
from deepcoder_api.specification import (
    ModelSource,
    ObjectUri,
    PartName,
    PodSpec,
    SandboxSpec,
    ShortText,
    Specification,
    StorageSpec,
)
from deepcoder_api.stage_spec import Stage
from deepcoder_api.status import Condition
from deepcoder_api.tracking_spec import TrackingSpec

ProblemFormat = Literal["jsonl", "humaneval", "mbpp", "taco", "synthetic-1", "livecodebench", "deepcoder", "math"]
DATED_FORMATS: tuple[ProblemFormat, ...] = ("livecodebench",)
Day = Annotated[str, Field(max_length=10, pattern=r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")]


class Window(Specification):
    """The days of the contests that problems are taken from. Both days count; one that is absent is no bound."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-rules": [
                {
                    "rule": "!has(self.from) || !has(self.to) || self.from <= self.to",
                    "fieldPath": ".to",
                    "message": "must not be before from",
                }
            ]
        }
    )

    first: Day | None = Field(default=None, alias="from", description="First day that counts, such as 2023-05-01.")
    last: Day | None = Field(default=None, alias="to", description="Last day that counts, such as 2024-07-31.")

    @model_validator(mode="after")
    def _days_fit(self) -> Window:
        for field, day in (("from", self.first), ("to", self.last)):
            try:
                date.fromisoformat(day or "2000-01-01")
            except ValueError as error:
                raise ValueError(f"{field}: {day!r} is no day of the calendar: {error}") from error
        if self.first and self.last and self.first > self.last:
            raise ValueError(f"to: {self.last!r} is before from ({self.first!r})")
        return self

    def holds(self, day: date) -> bool:
        """Whether a contest of that day counts."""
        return (self.first or "") <= day.isoformat() <= (self.last or "9999-12-31")


class TestLimit(Specification):
    """Which of a problem's tests are used."""

    __test__ = False  # pytest: this is not a test class

    max_count: int | None = Field(
        default=None, ge=1, le=10_000, description="A problem with more tests keeps this many; all when absent."
    )
    prefer: Literal["longest-input"] = Field(
        default="longest-input",
        description="Which tests are kept. longest-input: those with the longest inputs, in their order; "
        "of equally long ones the earlier.",
    )


class ProblemSource(Specification):
    """Files of problems. docs/sources.md has each format's columns and prompt."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-rules": [
                {
                    "rule": f"!has(self.window) || self.format in {list(DATED_FORMATS)}",
                    "fieldPath": ".window",
                    "message": f"needs a format whose rows have a contest date: {', '.join(DATED_FORMATS)}",
                }
            ]
        }
    )

    name: PartName = Field(description="Name of the source, used in reports and metrics.")
    format: ProblemFormat = Field(
        description="Whose rows they are. jsonl: the project's own schema. humaneval: openai/human-eval. mbpp: "
        "google-research-datasets/mbpp. taco: BAAI/TACO and TACO-verified. synthetic-1: PrimeIntellect/SYNTHETIC-1, "
        "its Python problems. livecodebench: livecodebench/code_generation_lite. deepcoder: "
        "agentica-org/DeepCoder-Preview-Dataset. math: a problem and its answer, as "
        "agentica-org/DeepScaleR-Preview-Dataset has them."
    )
    uri: ObjectUri = Field(
        description="A file (JSON lines, as they are or gzipped, or Parquet), a folder of them, or files by a name "
        "with *: s3://bucket/problems.jsonl, hf://datasets/org/name/folder/, file:///folder/train-*.parquet."
    )
    window: Window | None = Field(
        default=None, description="Days of the contests that problems are taken from; only for livecodebench."
    )

    @model_validator(mode="after")
    def _window_needs_dates(self) -> ProblemSource:
        if self.window is not None and self.format not in DATED_FORMATS:
            raise ValueError(
                f"window: rows of format {self.format!r} have no contest date; formats that have: "
                f"{', '.join(DATED_FORMATS)}"
            )
        return self


TestTimeout = Annotated[
    float | None,
    Field(
        gt=0,
        le=MAX_TEST_SECONDS,
        description="Wall-clock and CPU seconds for one test, of its problems that state no limit of their own; "
        "sandbox.limits.timeoutSeconds when absent. Not for math.",
    ),
]


class DataSource(ProblemSource):
    """Problems to train on."""

    timeout_seconds: TestTimeout = None
    tests: TestLimit = Field(default=TestLimit(), description="Which of a problem's tests are used.")


class Dedupe(Specification):
    """Problems with nearly the same statement: the first in the order of the sources stays."""

    similarity: float = Field(
        ge=0.7,
        le=1,
        description="A problem is dropped when its statement has at least this Jaccard similarity with that of one "
        "already taken; 1 is the same words in nearly the same order. See docs/dataset.md.",
    )


class DecontaminationSource(ProblemSource):
    """Problems that the run must not train on, such as a benchmark's."""

    similarity: float = Field(
        default=0.5,
        ge=0.5,
        le=1,
        description="A problem is dropped when its statement has at least this Jaccard similarity with one of the "
        "file's. See docs/dataset.md.",
    )


class DataSpec(Specification):
    """The problems to train on and what they must pass to be used."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-rules": [
                {
                    "rule": "!has(self.difficulty) || !has(self.difficulty.sources) || "
                    "self.difficulty.sources.all(name, self.sources.exists(source, source.name == name))",
                    "fieldPath": ".difficulty.sources",
                    "message": "must be names of data.sources",
                }
            ]
        }
    )

    sources: list[DataSource] = Field(
        min_length=1,
        max_length=32,
        description="Where problems come from.",
        json_schema_extra={"x-list-map-keys": ["name"]},
    )
    min_tests: int = Field(default=1, ge=1, le=1000, description="A problem with fewer tests is dropped and counted.")
    max_prompt_tokens: int = Field(
        default=2048, ge=1, le=1_000_000, description="A problem with a longer prompt is dropped and counted."
    )
    verify_solutions: Literal["IfPresent", "Required", "Never"] = Field(
        default="IfPresent",
        description="A problem whose own solution does not pass its tests is dropped; one without a solution "
        "only under Required.",
    )
    dedupe: Dedupe | None = Field(default=None, description="Drops near-duplicates; absent, only equal ids are.")
    decontaminate: list[DecontaminationSource] = Field(
        default_factory=list[DecontaminationSource],
        max_length=32,
        description="Problems near to any of these are dropped and counted.",
        json_schema_extra={"x-list-map-keys": ["name"]},
    )
    difficulty: Difficulty | None = Field(
        default=None,
        description="Drops problems that are too hard or too easy for the base model; absent, nothing is sampled "
        "before the run. See docs/dataset.md.",
    )

    @model_validator(mode="after")
    def _rated_sources_are_there(self) -> DataSpec:
        names = [source.name for source in self.sources]
        for name in self.difficulty.sources if self.difficulty else ():
            if name not in names:
                raise ValueError(f"difficulty.sources: {name!r} is none of data.sources: {', '.join(names)}")
        return self


class ResumeFrom(Specification):
    """A checkpoint that the run begins with."""

    uri: Annotated[str, Field(max_length=1024, pattern=r"^s3://[^\s]+/checkpoints/step-\d+$")] = Field(
        description="A complete checkpoint of another run, such as s3://bucket/prefix/…/checkpoints/step-000120, on "
        "the server of storage and readable by its key. Its model must have the shape of spec.model."
    )


class OptimizerSpec(Specification):
    """AdamW and its schedule."""

    learning_rate: float = Field(default=1e-6, gt=0, le=1, description="Peak learning rate.")
    betas: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)] = Field(
        default=[0.9, 0.999], description="Adam's two decay rates."
    )
    schedule: Literal["constant", "linear"] = Field(
        default="constant", description="constant, or linear to zero at the last step."
    )
    warmup_steps: int = Field(default=0, ge=0, le=1_000_000, description="Steps of linear warm-up.")
    gradient_clip: float = Field(default=1.0, gt=0, le=1000, description="Largest norm of the gradient.")
    weight_decay: float = Field(default=0.0, ge=0, le=1, description="Decoupled weight decay.")


Offload = Literal["none", "optimizer", "parameters"]


class DeepSpeedSpec(Specification):
    """How DeepSpeed shares the model's state among ranks."""

    zero_stage: Literal[0, 1, 2, 3] = Field(
        default=2, description="0: nothing is sharded; 1: optimizer state; 2: also gradients; 3: also parameters."
    )
    offload: Offload = Field(
        default="none",
        description="What lies in the node's own memory in place of the GPU's. optimizer: fp32 weights and Adam's "
        "moments, updated by the CPU; parameters: the weights of forward and backward too, fetched layer by layer.",
    )

    @model_validator(mode="after")
    def _offload_has_a_stage(self) -> DeepSpeedSpec:
        if self.offload == "parameters" and self.zero_stage != 3:
            raise ValueError(
                f"offload: 'parameters' needs zeroStage 3, not {self.zero_stage}; 'optimizer' needs 1 to 3"
            )
        if self.offload == "optimizer" and self.zero_stage == 0:
            raise ValueError("offload: 'optimizer' needs zeroStage 1, 2 or 3, not 0")
        return self


class TrainerSpec(Specification):
    """The pods that update the weights."""

    replicas: int = Field(default=1, ge=1, le=512, description="Trainer pods.")
    gpus_per_replica: int = Field(
        default=1, ge=0, le=16, description="GPUs of each pod, one rank each; 0 trains on CPU."
    )
    deepspeed: DeepSpeedSpec = Field(default=DeepSpeedSpec(), description="DeepSpeed's settings.")
    precision: Literal["bf16", "fp32"] = Field(
        default="bf16", description="Precision of weights in forward and backward."
    )
    tokens_per_microbatch: int = Field(
        default=16384,
        ge=1,
        le=16_777_216,
        description="Tokens that a rank has in one forward pass. Ranks of sequenceParallel have as many together as "
        "their number allows.",
    )
    sequence_parallel: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Neighbouring ranks that share each packed microbatch, so that a long sample need not fit one "
        "(Ulysses). It divides the ranks (replicas times GPUs) and the model's attention heads.",
    )
    pod: PodSpec = Field(default=PodSpec(), description="What is set on the trainer pods.")

    @property
    def ranks(self) -> int:
        """Ranks of all pods: one a GPU, or one a pod on CPU."""
        return self.replicas * max(1, self.gpus_per_replica)


class RolloutSpec(Specification):
    """The vLLM servers that sample answers."""

    replicas: int = Field(default=1, ge=1, le=1024, description="Rollout pods.")
    gpus_per_replica: int = Field(default=1, ge=0, le=16, description="GPUs of each pod; 0 samples on CPU.")
    tensor_parallel: int = Field(default=1, ge=1, le=16, description="GPUs that share one copy of the model.")
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1, description="Share of GPU memory that vLLM takes.")
    max_model_length: int | None = Field(
        default=None,
        ge=2,
        le=2_000_000,
        description="Longest prompt and response, in tokens; from data and stages when absent.",
    )
    keep_kv: bool = Field(
        default=False,
        description="Whether answers that are under way when weights arrive keep what was computed of them under the "
        "older ones, which is faster; else it is computed again, and each token's probability is of one policy.",
    )
    extra_args: list[ShortText] = Field(
        default_factory=list, max_length=64, description="Further arguments of vLLM's server."
    )
    pod: PodSpec = Field(default=PodSpec(), description="What is set on the rollout pods.")


class CheckpointSpec(Specification):
    """When checkpoints are written and how many stay."""

    every_steps: int = Field(
        default=10, ge=1, le=1_000_000, description="Steps between checkpoints; the last step always has one."
    )
    keep_last: int = Field(default=3, ge=1, le=10_000, description="Newest checkpoints that stay.")
    keep_best: int = Field(
        default=0, ge=0, le=1000, description="Checkpoints with the best validation score that stay besides."
    )


class ValidationSource(DecontaminationSource):
    """Problems that are asked while the run trains, and never trained on: what is near to them is dropped."""

    timeout_seconds: TestTimeout = None


class ValidationSpec(Specification):
    """Held-out problems, asked through the run's own rollout servers and sandboxes. See docs/validation.md."""

    every_steps: int = Field(
        ge=1, le=1_000_000, description="Steps between measurements; the last step always has one."
    )
    sources: list[ValidationSource] = Field(
        min_length=1,
        max_length=32,
        description="Where the problems come from.",
        json_schema_extra={"x-list-map-keys": ["name"]},
    )
    samples_per_prompt: int = Field(
        default=1, ge=1, le=1024, description="Answers to each problem; the score is the mean over all of them."
    )


class FailurePolicy(Specification):
    """How often a run starts again by itself."""

    max_restarts: int = Field(
        default=10,
        ge=0,
        le=10_000,
        description="New attempts after failures that may heal; preemption and node loss are free.",
    )


# CEL: the tokens of the longest sample that a run allows.
_NEEDED = "self.data.maxPromptTokens + self.stages.map(stage, stage.maxResponseTokens).max()"
_OF_STAGE = "self.data.maxPromptTokens + stage.maxResponseTokens"

_RANKS = "self.trainer.replicas * (self.trainer.gpusPerReplica > 1 ? self.trainer.gpusPerReplica : 1)"

_OFFLOAD = "self.trainer.deepspeed.offload"


class TrainingRunSpec(Specification):
    """A run: the model, the problems, the recipe, the pods and the bucket."""

    # The rules repeat what `resolve_run` refuses, so that kubectl refuses it too; the operator asks resolve_run again.
    model_config = ConfigDict(
        json_schema_extra={
            "x-mutable": [
                "rollout.replicas",
                "sandbox.replicas",
                "activeDeadlineSeconds",
                "failurePolicy.maxRestarts",
            ],
            "x-rules": [
                {
                    "rule": "self.rollout.tensorParallel <= (self.rollout.gpusPerReplica > 1 ? "
                    "self.rollout.gpusPerReplica : 1)",
                    "fieldPath": ".rollout.tensorParallel",
                    "message": "must be at most rollout.gpusPerReplica: one shard a GPU",
                },
                {
                    "rule": f"!has(self.rollout.maxModelLength) || {_NEEDED} <= self.rollout.maxModelLength",
                    "fieldPath": ".rollout.maxModelLength",
                    "message": "must be at least data.maxPromptTokens plus the longest stage's maxResponseTokens",
                },
                {
                    "rule": f"self.stages.all(stage, has(stage.tokensPerMicrobatch) || {_OF_STAGE} <= "
                    "self.trainer.tokensPerMicrobatch * self.trainer.sequenceParallel)",
                    "fieldPath": ".trainer.tokensPerMicrobatch",
                    "message": "must hold one sample, times sequenceParallel: data.maxPromptTokens plus the longest "
                    "stage's maxResponseTokens",
                },
                {
                    "rule": f"{_OFFLOAD} == 'none' || self.trainer.deepspeed.zeroStage > 0",
                    "fieldPath": ".trainer.deepspeed.offload",
                    "message": "needs zeroStage 1, 2 or 3: without ZeRO nothing is offloaded",
                },
                {
                    "rule": f"{_OFFLOAD} != 'parameters' || self.trainer.deepspeed.zeroStage == 3",
                    "fieldPath": ".trainer.deepspeed.offload",
                    "message": "parameters can be offloaded only with zeroStage 3",
                },
                {
                    "rule": f"{_OFFLOAD} == 'none' || self.trainer.gpusPerReplica > 0",
                    "fieldPath": ".trainer.deepspeed.offload",
                    "message": "needs GPUs (trainer.gpusPerReplica): on CPU all lies in the node's memory",
                },
                {
                    "rule": f"{_RANKS} % self.trainer.sequenceParallel == 0",
                    "fieldPath": ".trainer.sequenceParallel",
                    "message": "must divide the ranks: trainer.replicas times trainer.gpusPerReplica (1 on CPU)",
                },
                {
                    "rule": f"self.stages.all(stage, !has(stage.tokensPerMicrobatch) || {_OF_STAGE} <= "
                    "stage.tokensPerMicrobatch * self.trainer.sequenceParallel)",
                    "fieldPath": ".stages",
                    "message": "a stage's tokensPerMicrobatch must hold one sample, times sequenceParallel: "
                    "data.maxPromptTokens plus its maxResponseTokens",
                },
                {
                    "rule": "!has(self.stages[self.stages.size() - 1].advanceWhen)",
                    "fieldPath": ".stages",
                    "message": "the last stage has none to advance to: leave its advanceWhen out",
                },
                {
                    "rule": "!self.stages[0].resetOptimizer || has(self.resumeFrom)",
                    "fieldPath": ".stages",
                    "message": "without resumeFrom the first stage begins with an empty optimizer: leave its "
                    "resetOptimizer out",
                },
                {
                    "rule": "self.checkpoint.keepBest == 0 || (has(self.validation) && "
                    "self.validation.everySteps % self.checkpoint.everySteps == 0)",
                    "fieldPath": ".checkpoint.keepBest",
                    "message": "needs validation, with an everySteps that is a multiple of checkpoint.everySteps",
                },
                {
                    "rule": "self.optimizer.schedule != 'linear' || !self.stages.exists(stage, has(stage.advanceWhen))",
                    "fieldPath": ".optimizer.schedule",
                    "message": "linear needs to know the last step, which advanceWhen leaves open: use constant",
                },
            ],
        }
    )

    model: ModelSource = Field(description="The model to start from.")
    resume_from: ResumeFrom | None = Field(
        default=None,
        description="Another run's checkpoint, whose weights and optimizer this run begins with; its steps, problems "
        "and seeds are this run's own. Absent, the run begins with spec.model and an empty optimizer.",
    )
    data: DataSpec = Field(description="The problems to train on.")
    algorithm: AlgorithmSpec = Field(default=AlgorithmSpec(), description="The loss and how it is fed.")
    stages: list[Stage] = Field(
        min_length=1, max_length=64, description="Stages in order.", json_schema_extra={"x-list-map-keys": ["name"]}
    )
    optimizer: OptimizerSpec = Field(default=OptimizerSpec(), description="AdamW and its schedule.")
    trainer: TrainerSpec = Field(default=TrainerSpec(), description="The trainer pods.")
    rollout: RolloutSpec = Field(default=RolloutSpec(), description="The rollout pods.")
    sandbox: SandboxSpec = Field(default=SandboxSpec(), description="The sandbox pods.")
    storage: StorageSpec = Field(description="Where everything that lasts is written.")
    checkpoint: CheckpointSpec = Field(default=CheckpointSpec(), description="Checkpoints.")
    tracking: TrackingSpec = Field(default=TrackingSpec(), description="Figures of the steps, for other tools.")
    validation: ValidationSpec | None = Field(default=None, description="Held-out problems; absent, none are asked.")
    active_deadline_seconds: int | None = Field(
        default=None,
        ge=1,
        le=31_536_000,
        description="The run fails when it has not finished this long after its creation.",
    )
    failure_policy: FailurePolicy = Field(default=FailurePolicy(), description="Restarts.")

    @model_validator(mode="after")
    def _names_are_unique(self) -> TrainingRunSpec:
        for field, names in (
            ("data.sources", [source.name for source in self.data.sources]),
            ("data.decontaminate", [source.name for source in self.data.decontaminate]),
            ("stages", [stage.name for stage in self.stages]),
            ("validation.sources", [source.name for source in self.validation.sources] if self.validation else []),
        ):
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise ValueError(f"{field}: the name {repeated[0]!r} is given twice; each must be unique")
        return self

    @model_validator(mode="after")
    def _tensor_parallel_fits(self) -> TrainingRunSpec:
        rollout = self.rollout
        if rollout.tensor_parallel > max(1, rollout.gpus_per_replica):
            raise ValueError(
                f"rollout.tensorParallel: {rollout.tensor_parallel} is more than rollout.gpusPerReplica "
                f"({rollout.gpus_per_replica}); at most one shard a GPU"
            )
        return self


Phase = Literal["Pending", "Preparing", "Starting", "Training", "Succeeded", "Failed"]


class CheckpointStatus(Specification):
    """A checkpoint that is complete in S3."""

    uri: str = Field(max_length=2048, description="Where it lies.")
    step: int = Field(description="Steps done when it was written.")
    time: str | None = Field(default=None, max_length=64, description="When it was committed, RFC 3339.")


class BestCheckpointStatus(Specification):
    """The checkpoint with the best validation score of those that are complete in S3."""

    uri: str = Field(max_length=2048, description="Where it lies.")
    step: int = Field(description="Steps done when it was written.")
    score: float = Field(description="Share of the answers to the validation problems that were accepted.")


class ValidationStatus(Specification):
    """The newest validation."""

    step: int = Field(description="Steps done when it was measured.")
    score: float = Field(description="Share of the answers to the validation problems that were accepted: pass@1.")


class StageAdvanceStatus(Specification):
    """A stage that ended before it had all its steps."""

    stage: str = Field(max_length=40, description="Name of the stage.")
    step: int = Field(description="Its last step.")
    reason: str = Field(max_length=1024, description="What stages[].advanceWhen found.")


class ModelStatus(Specification):
    """The model that the run made."""

    uri: str = Field(max_length=2048, description="Where it lies, in the Hugging Face layout.")


class FailureStatus(Specification):
    """What ended a run, as far as the pods told."""

    attempt: int | None = Field(default=None, description="Attempt that failed, when the trainer did.")
    time: str | None = Field(default=None, max_length=64, description="When it was seen, RFC 3339.")
    pod: ShortText | None = Field(default=None, description="Pod that failed.")
    container: ShortText | None = Field(default=None, description="Container in it.")
    exit_code: int | None = Field(default=None, description="Its exit code.")
    cause: str = Field(default="", max_length=4096, description="What went wrong.")
    log: str = Field(default="", max_length=8192, description="Last lines of its log.")


class RolloutStatus(Specification):
    """Rollout servers, for the scale subresource."""

    selector: str = Field(default="", max_length=1024, description="Labels of the pods, for autoscalers.")
    replicas: int = Field(default=0, description="Pods there are.")
    ready_replicas: int = Field(default=0, description="Pods that are ready.")


class TrainingRunStatus(Specification):
    """What the operator last saw of a run."""

    observed_generation: int | None = Field(default=None, description="Generation of the spec that this status is of.")
    phase: Phase = Field(default="Pending", description="Where the run stands.")
    conditions: list[Condition] = Field(
        default_factory=list[Condition],
        max_length=32,
        description="Conditions.",
        json_schema_extra={"x-list-map-keys": ["type"]},
    )
    message: str = Field(default="", max_length=4096, description="What the run is doing or waiting for, for people.")
    stage: str | None = Field(default=None, max_length=40, description="Stage under way.")
    step: int | None = Field(default=None, description="Steps done.")
    total_steps: int | None = Field(
        default=None, description="Steps of all stages: fewer than planned once a stage has ended early."
    )
    advances: list[StageAdvanceStatus] = Field(
        default_factory=list[StageAdvanceStatus], max_length=64, description="Stages that ended early."
    )
    reward: float | None = Field(default=None, description="Mean reward of the last step.")
    truncated_fraction: float | None = Field(
        default=None, description="Share of the last step's answers cut at the limit."
    )
    tokens_per_second: float | None = Field(default=None, description="Response tokens a second over the last step.")
    estimated_completion: str | None = Field(
        default=None, max_length=64, description="When the last step should be done, RFC 3339."
    )
    policy_version: int | None = Field(default=None, description="Version of the weights.")
    attempt: int | None = Field(default=None, description="Life of the trainer pods, counted from 1.")
    restarts: int | None = Field(default=None, description="Attempts that failures cost.")
    dataset: str | None = Field(default=None, max_length=2048, description="The prepared dataset.")
    last_checkpoint: CheckpointStatus | None = Field(default=None, description="Newest complete checkpoint.")
    best_checkpoint: BestCheckpointStatus | None = Field(
        default=None, description="Complete checkpoint with the best validation score."
    )
    validation: ValidationStatus | None = Field(default=None, description="Newest validation.")
    model: ModelStatus | None = Field(default=None, description="The finished model.")
    failure: FailureStatus | None = Field(default=None, description="What ended the run or the last attempt.")
    rollout: RolloutStatus | None = Field(default=None, description="Rollout servers.")
    start_time: str | None = Field(default=None, max_length=64, description="When the run was first seen, RFC 3339.")
    completion_time: str | None = Field(default=None, max_length=64, description="When it ended, RFC 3339.")
