"""What is measured, and how: all that asking, grading and scoring need of a resource or of a command line."""

from __future__ import annotations

from dataclasses import dataclass, field

from deepcoder_api.evaluation import EvaluationSpec
from deepcoder_api.evaluation_benchmarks import Benchmark
from deepcoder_api.grading import Limits, Profile
from deepcoder_api.resolve import ResolvedEvaluation

_NO_PENALTIES = {"min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
_NEUTRAL: dict[str, dict[str, float]] = {
    "vllm": {"top_k": 0, **_NO_PENALTIES},
    "sglang": {"top_k": -1, **_NO_PENALTIES},
}


def neutral_sampling(engine: str) -> dict[str, float]:
    """What turns off all that an engine would else add of a model's generation_config.json, by the engine's own names.

    Empty for engines that have no names for it, and for an endpoint, which may refuse what OpenAI's API does not have.
    """
    return dict(_NEUTRAL.get(engine, {}))


@dataclass(frozen=True)
class Sampling:
    """How answers are sampled. `max_tokens` is the response limit; without a system prompt there is no such message.

    `named` is what each request says besides, as `neutral_sampling` has it.
    """

    temperature: float
    top_p: float
    max_tokens: int
    samples_per_prompt: int
    seed: int
    system_prompt: str | None = None
    named: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class EvaluationJob:
    """One evaluation. `lengths` are the response limits to score at, ascending; the last is that of `sampling`.

    `model` is where the model lies, or the URL of whoever serves it; `tokenizer` the URI that its tokenizer can be read
    from, if any. `exact_ids` says that the engine is one that tells token ids.
    """

    namespace: str
    name: str
    model: str
    model_name: str
    tokenizer: str | None
    engine: str
    engine_arguments: tuple[str, ...]
    exact_ids: bool
    sampling: Sampling
    lengths: tuple[int, ...]
    benchmarks: tuple[Benchmark, ...]
    profile: Profile
    limits: Limits
    in_flight: int


def sampling_of(spec: EvaluationSpec) -> Sampling:
    """The sampling of a specification, with its response limit and what its engine must be told."""
    given = spec.sampling
    return Sampling(
        temperature=given.temperature,
        top_p=given.top_p,
        max_tokens=spec.response_limit,
        samples_per_prompt=given.samples_per_prompt,
        seed=given.seed,
        system_prompt=given.system_prompt,
        named={} if spec.model.endpoint else neutral_sampling(spec.engine.kind),
    )


def job_of(evaluation: ResolvedEvaluation) -> EvaluationJob:
    """The job of a resource."""
    spec = evaluation.spec
    engine, endpoint = spec.engine, spec.model.endpoint
    shaping = (
        *("--tensor-parallel-size", str(engine.tensor_parallel), "--gpus", str(engine.gpus_per_replica)),
        *(("--max-model-len", str(engine.max_model_length)) if engine.max_model_length else ()),
        *engine.extra_args,
    )
    return EvaluationJob(
        namespace=evaluation.namespace,
        name=evaluation.name,
        model=evaluation.model_uri,
        model_name=evaluation.model_name,
        tokenizer=endpoint.tokenizer if endpoint else evaluation.model_uri,
        engine="endpoint" if endpoint else engine.kind,
        engine_arguments=() if endpoint else shaping,
        exact_ids=endpoint is None and engine.kind == "vllm",
        sampling=sampling_of(spec),
        lengths=spec.scored_lengths,
        benchmarks=tuple(spec.benchmarks),
        profile=spec.sandbox.profile,
        limits=spec.sandbox.limits.for_grading(),
        in_flight=spec.in_flight,
    )
