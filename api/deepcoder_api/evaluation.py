"""Evaluation: what a user writes to measure a model."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from deepcoder_api.evaluation_benchmarks import Benchmark
from deepcoder_api.specification import (
    Name,
    PodSpec,
    SandboxSpec,
    SecretName,
    ShortText,
    Specification,
    StorageSpec,
)

CARD_MAX_TOKENS = 64000
"""The response limit that the DeepCoder card evaluates with."""
DEFAULT_IN_FLIGHT_PER_REPLICA = 64
ContextLength = Annotated[int, Field(ge=1, le=1_000_000)]


def _require_one(part: Specification, field: str, besides: frozenset[str] | set[str] = frozenset()) -> None:
    members = [name for name in type(part).model_fields if name not in besides]
    given = [name for name in members if getattr(part, name) is not None]
    if len(given) != 1:
        aliases = [type(part).model_fields[name].alias or name for name in members]
        raise ValueError(f"{field}: exactly one of {', '.join(aliases)} must be given, not {len(given)}")


class Latest(Specification):
    """The run's last checkpoint; the evaluation waits for the end of the run."""


class Best(Specification):
    """The run's checkpoint with the best validation score; the evaluation waits for the end of the run."""


class CheckpointChoice(Specification):
    """Which checkpoint of a run: exactly one member."""

    model_config = ConfigDict(json_schema_extra={"x-exactly-one": ["latest", "best", "step"]})

    latest: Latest | None = Field(default=None, description="The last one, once the run has succeeded.")
    best: Best | None = Field(
        default=None, description="The one with the best validation score, once the run has succeeded."
    )
    step: int | None = Field(default=None, ge=1, description="The one of this step, as soon as it is there.")

    @model_validator(mode="after")
    def _exactly_one(self) -> CheckpointChoice:
        _require_one(self, "checkpoint")
        return self


class TrainingRunModel(Specification):
    """A checkpoint of a TrainingRun of the same namespace."""

    name: Name = Field(description="The TrainingRun.")
    checkpoint: CheckpointChoice = Field(
        default=CheckpointChoice(latest=Latest()), description="Which checkpoint of it."
    )


class EndpointModel(Specification):
    """A model that somebody serves already, by the OpenAI chat completions protocol."""

    url: Annotated[str, Field(max_length=1024, pattern=r"^https?://[^\s]+$")] = Field(
        description="Its address, such as https://api.example.com, with or without /v1. It is looked at first."
    )
    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="The model's name there.")
    secret_name: SecretName | None = Field(default=None, description="Secret with OPENAI_API_KEY.")
    tokenizer: Annotated[str, Field(max_length=1024, pattern=r"^(s3|hf|file)://[^\s]+$")] | None = Field(
        default=None,
        description="Where the model's tokenizer lies, by which contextLengths cuts answers: scores are approximate.",
    )


class EvaluatedModel(Specification):
    """The model to measure: exactly one member."""

    model_config = ConfigDict(json_schema_extra={"x-exactly-one": ["uri", "trainingRun", "endpoint"]})

    uri: str | None = Field(
        default=None,
        max_length=1024,
        pattern=r"^(s3|hf|pvc|file)://[^\s]+$",
        description="hf://organisation/name, s3://bucket/prefix, pvc://claim/path, or file:///path (local runs only).",
    )
    training_run: TrainingRunModel | None = Field(default=None, description="What a TrainingRun made.")
    endpoint: EndpointModel | None = Field(default=None, description="A model that is served already.")
    secret_name: SecretName | None = Field(default=None, description="Secret with HF_TOKEN for an hf:// model.")

    @model_validator(mode="after")
    def _exactly_one(self) -> EvaluatedModel:
        _require_one(self, "model", besides={"secret_name"})
        return self


EngineKind = Literal["vllm", "sglang", "tgi", "tensorrt-llm"]
# On the specification and not on the engine itself: its default, which says nothing, is looked at by its own rules.
_OTHER_ENGINES: list[Any] = [
    {
        "rule": "self.engine.kind == 'vllm' || self.engine.gpusPerReplica > 0",
        "fieldPath": ".engine.gpusPerReplica",
        "message": "an engine other than vllm needs a GPU",
    },
]


class ModelCache(Specification):
    """A volume on which engine pods share models."""

    claim_name: SecretName = Field(
        description="PersistentVolumeClaim of the namespace that pods may write to; ReadWriteMany where they run on "
        "several nodes."
    )


class EngineSpec(Specification):
    """The server that answers."""

    kind: EngineKind = Field(
        default="vllm",
        description="The serving engine. sglang, tgi (Text Generation Inference) and tensorrt-llm (trtllm-serve) need "
        "a GPU, and an image by the chart's images.engines or by pod.image; they tell no token ids, so that shorter "
        "contextLengths are approximate.",
    )
    replicas: int = Field(default=1, ge=1, le=512, description="Engine pods.")
    gpus_per_replica: int = Field(default=1, ge=0, le=16, description="GPUs of each pod; 0 serves on CPU.")
    tensor_parallel: int = Field(default=1, ge=1, le=16, description="GPUs that share one copy of the model.")
    gpu_memory_utilization: float = Field(
        default=0.9, gt=0, le=1, description="Share of GPU memory that the engine takes."
    )
    max_model_length: int | None = Field(
        default=None,
        ge=2,
        le=2_000_000,
        description="Longest prompt and response in tokens; the model's own when absent.",
    )
    extra_args: list[ShortText] = Field(
        default_factory=list, max_length=64, description="Further arguments of the server."
    )
    model_cache: ModelCache | None = Field(
        default=None,
        description="Where models are kept, so that a pod fetches none that is there; absent, each fetches its own.",
    )
    pod: PodSpec = Field(default=PodSpec(), description="What is set on the engine pods.")

    @model_validator(mode="after")
    def _other_engines_have_a_gpu(self) -> EngineSpec:
        if self.kind != "vllm" and self.gpus_per_replica == 0:
            raise ValueError(f"gpusPerReplica: kind {self.kind} needs a GPU; vllm alone serves on CPU")
        return self


class EvaluationSampling(Specification):
    """How answers are sampled; the defaults are those of the DeepCoder card."""

    temperature: float = Field(default=0.6, ge=0, le=2, description="Sampling temperature; 0 is greedy.")
    top_p: float = Field(default=0.95, gt=0, le=1, description="Nucleus sampling.")
    max_tokens: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Response limit in tokens; the longest of contextLengths when absent, or 64000.",
    )
    samples_per_prompt: int = Field(default=1, ge=1, le=1024, description="Answers to each problem.")
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="Seed that every sample's own seed is hashed from.")
    system_prompt: Annotated[str, Field(min_length=1, max_length=16384)] | None = Field(
        default=None, description="System message before every prompt; none when absent, as the card says."
    )


class EvaluationSpec(Specification):
    """A measurement: the model, how it is sampled, the problems, the pods and the bucket."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-mutable": ["sandbox.replicas", "suspend", "activeDeadlineSeconds", "ttlSecondsAfterFinished"],
            "x-rules": [
                *_OTHER_ENGINES,
                {
                    "rule": "self.engine.tensorParallel <= (self.engine.gpusPerReplica > 1 ? "
                    "self.engine.gpusPerReplica : 1)",
                    "fieldPath": ".engine.tensorParallel",
                    "message": "must be at most engine.gpusPerReplica: one shard a GPU",
                },
                {
                    "rule": "!has(self.engine.maxModelLength) || (has(self.sampling.maxTokens) ? "
                    "self.sampling.maxTokens : has(self.contextLengths) && size(self.contextLengths) > 0 ? 0 : "
                    f"{CARD_MAX_TOKENS}) < self.engine.maxModelLength",
                    "fieldPath": ".sampling.maxTokens",
                    "message": "must be less than engine.maxModelLength, which the prompt is part of; "
                    f"{CARD_MAX_TOKENS} when absent",
                },
                {
                    "rule": "!has(self.contextLengths) || "
                    "self.contextLengths.all(n, (!has(self.engine.maxModelLength) || "
                    "n < self.engine.maxModelLength) && "
                    "(!has(self.sampling.maxTokens) || n <= self.sampling.maxTokens))",
                    "fieldPath": ".contextLengths",
                    "message": "each must be less than engine.maxModelLength and at most sampling.maxTokens",
                },
                {
                    "rule": "!has(self.model.endpoint) || has(self.model.endpoint.tokenizer) || "
                    "!has(self.contextLengths) || size(self.contextLengths) == 0 || (size(self.contextLengths) == 1 && "
                    "(!has(self.sampling.maxTokens) || self.sampling.maxTokens == self.contextLengths[0]))",
                    "fieldPath": ".contextLengths",
                    "message": "shorter lengths of an endpoint's answers need model.endpoint.tokenizer",
                },
                {
                    "rule": "!self.serve || !has(self.model.endpoint)",
                    "fieldPath": ".serve",
                    "message": "a model.endpoint is served already",
                },
                {
                    "rule": "!has(self.contextLengths) || "
                    "self.contextLengths.all(n, self.contextLengths.exists_one(m, m == n))",
                    "fieldPath": ".contextLengths",
                    "message": "each may stand once",
                },
            ],
        }
    )

    model: EvaluatedModel = Field(description="The model to measure.")
    engine: EngineSpec = Field(default=EngineSpec(), description="The engine pods.")
    sampling: EvaluationSampling = Field(default=EvaluationSampling(), description="How answers are sampled.")
    context_lengths: list[ContextLength] = Field(
        default_factory=list[int],
        max_length=16,
        description="Response limits in tokens to score at, such as 16384, 32768 and 65536. Each problem is answered "
        "once, at the longest; an answer is scored at a shorter one by cutting it there.",
    )
    max_in_flight: int | None = Field(
        default=None,
        ge=1,
        le=65536,
        description="Answers asked for at once, over all replicas; 64 for each replica when absent.",
    )
    benchmarks: list[Benchmark] = Field(
        min_length=1, max_length=32, description="What to score on.", json_schema_extra={"x-list-map-keys": ["name"]}
    )
    sandbox: SandboxSpec = Field(default=SandboxSpec(), description="The sandbox pods.")
    serve: bool = Field(
        default=False,
        description="Keep the engine up after the scores, as an OpenAI-compatible Service for the namespace's pods, "
        "until the Evaluation is deleted or suspended, or its ttlSecondsAfterFinished is over.",
    )
    storage: StorageSpec = Field(description="Where samples and the report are written.")
    suspend: bool = Field(
        default=False,
        description="Stop: every pod goes, and with it the GPUs. What was answered and graded is kept and is not done "
        "again; false goes on.",
    )
    active_deadline_seconds: int | None = Field(
        default=None,
        ge=1,
        le=31_536_000,
        description="The evaluation fails when it has not finished this long after it started, or after it went on.",
    )
    ttl_seconds_after_finished: int | None = Field(
        default=None,
        ge=0,
        le=31_536_000,
        description="So long after its end its Jobs with their logs, and an engine that serve keeps up, are removed. "
        "The Evaluation with its scores and what is in S3 stay.",
    )

    @model_validator(mode="after")
    def _benchmark_names_are_unique(self) -> EvaluationSpec:
        names = [benchmark.name for benchmark in self.benchmarks]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"benchmarks: the name {repeated[0]!r} is given twice; each must be unique")
        return self

    @model_validator(mode="after")
    def _engine_fits(self) -> EvaluationSpec:
        engine = self.engine
        if engine.tensor_parallel > max(1, engine.gpus_per_replica):
            raise ValueError(
                f"engine.tensorParallel: {engine.tensor_parallel} is more than engine.gpusPerReplica "
                f"({engine.gpus_per_replica}); at most one shard a GPU"
            )
        if engine.max_model_length is not None and self.response_limit >= engine.max_model_length:
            raise ValueError(
                f"sampling.maxTokens: {self.response_limit} leaves no place for a prompt: it must be less than "
                f"engine.maxModelLength ({engine.max_model_length})"
            )
        return self

    @model_validator(mode="after")
    def _context_lengths_fit(self) -> EvaluationSpec:
        lengths, limit = self.context_lengths, self.sampling.max_tokens
        repeated = sorted({length for length in lengths if lengths.count(length) > 1})
        if repeated:
            raise ValueError(f"contextLengths: {repeated[0]} is given twice; each may stand once")
        if limit is not None and lengths and max(lengths) > limit:
            raise ValueError(
                f"contextLengths: {max(lengths)} is more than sampling.maxTokens ({limit}): answers end there"
            )
        endpoint = self.model.endpoint
        if self.serve and endpoint is not None:
            raise ValueError("serve: a model.endpoint is served already")
        if endpoint is not None and endpoint.tokenizer is None and len(self.scored_lengths) > 1:
            raise ValueError(
                f"contextLengths: {min(lengths)} is shorter than the answers ({self.response_limit}); to cut those of "
                "an endpoint model.endpoint.tokenizer is needed"
            )
        return self

    @property
    def response_limit(self) -> int:
        """The response limit in tokens that every answer is generated with."""
        return self.sampling.max_tokens or max(self.context_lengths, default=CARD_MAX_TOKENS)

    @property
    def scored_lengths(self) -> tuple[int, ...]:
        """The response limits in tokens that are scored, ascending; the last is `response_limit`."""
        return tuple(sorted({*self.context_lengths, self.response_limit}))

    @property
    def in_flight(self) -> int:
        """Answers asked for at once."""
        return self.max_in_flight or DEFAULT_IN_FLIGHT_PER_REPLICA * self.engine.replicas
