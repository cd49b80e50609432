"""Every kind of resource that is refused, with the words in which a user hears of it, by each way there is."""

from __future__ import annotations

from dataclasses import dataclass

from tests.resource_documents import GONE, Document, changed, evaluation, training_run

NAME_RULE = (
    "metadata.name must have at most 40 characters: lower-case letters, digits and -, a letter first, no - at the end"
)


@dataclass(frozen=True)
class Refusal:
    """A document, and what is said of it: by `deepcoder validate`, by the API server to `kubectl create`, and to
    server-side apply where that says it in other words."""

    id: str
    document: Document
    validate: str
    create: str
    apply: str = ""

    @property
    def server_side_apply(self) -> str:
        """What server-side apply says."""
        return self.apply or self.create


def _run(
    id: str, path: str, value: object, *, validate: str, create: str, apply: str = "", base: Document | None = None
) -> Refusal:
    return Refusal(id, changed(base or training_run(id), path, value), validate, create, apply)


def _evaluation(id: str, path: str, value: object, *, validate: str, create: str, apply: str = "") -> Refusal:
    return Refusal(id, changed(evaluation(id), path, value), validate, create, apply)


UNKNOWN = (
    _run(
        "unknown-field",
        "spec.stages[0].stepz",
        3,
        validate="spec.stages[0].stepz: unknown field (did you mean steps?); "
        "the fields here are advanceWhen, maxResponseTokens, name, promptsPerStep, resetOptimizer, samplesPerPrompt, "
        "sampling, steps, tokensPerMicrobatch",
        create='strict decoding error: unknown field "spec.stages[0].stepz"',
        apply='.spec.stages[name="short"].stepz: field not declared in schema',
    ),
    _run(
        "field-left-out-for-now",
        "spec.trainer.lora",
        {"rank": 8},
        validate="spec.trainer.lora: unknown field",
        create='strict decoding error: unknown field "spec.trainer.lora"',
        apply=".spec.trainer.lora: field not declared in schema",
    ),
    _run(
        "sandbox-environment",
        "spec.sandbox.pod.env",
        {"A": "1"},
        validate="spec.sandbox.pod.env: unknown field; the fields here are annotations, image, nodeSelector, "
        "priorityClassName, resources, tolerations",
        create='strict decoding error: unknown field "spec.sandbox.pod.env"',
        apply=".spec.sandbox.pod.env: field not declared in schema",
    ),
)

MISSING = (
    _run(
        "model-missing",
        "spec.model",
        GONE,
        validate="spec.model: a value is required",
        create="spec.model: Required value",
    ),
    _run(
        "no-stages",
        "spec.stages",
        [],
        validate="spec.stages: []: must have at least 1 items",
        create="spec.stages: Invalid value: 0: spec.stages in body should have at least 1 items",
    ),
    _run(
        "spec-missing",
        "spec",
        GONE,
        validate="spec: a value is required",
        create="spec: Required value",
    ),
)

WRONG_TYPE = (
    _run(
        "text-for-a-number",
        "spec.stages[0].steps",
        "3",
        validate='spec.stages[0].steps: "3": must be an integer',
        create='spec.stages[0].steps: Invalid value: "string": spec.stages[0].steps in body must be of type integer',
        apply='.spec.stages[name="short"].steps: expected numeric (int or float), got string',
    ),
    _run(
        "a-part-of-a-step",
        "spec.stages[0].steps",
        2.5,
        validate="spec.stages[0].steps: 2.5: must be an integer",
        create='spec.stages[0].steps: Invalid value: "number": spec.stages[0].steps in body must be of type integer',
    ),
    _run(
        "number-for-text",
        "spec.trainer.pod.env.LEVEL",
        1,
        validate="spec.trainer.pod.env.LEVEL: 1: must be a string (quote it)",
        create='spec.trainer.pod.env.LEVEL: Invalid value: "integer": spec.trainer.pod.env.LEVEL in body must be of '
        "type string",
        apply=".spec.trainer.pod.env.LEVEL: expected string",
    ),
    _run(
        "text-for-a-boolean",
        "spec.algorithm.overlongFilter",
        "true",
        validate='spec.algorithm.overlongFilter: "true": must be true or false',
        create='spec.algorithm.overlongFilter: Invalid value: "string": spec.algorithm.overlongFilter in body must be '
        "of type boolean",
        apply=".spec.algorithm.overlongFilter: expected boolean, got",
    ),
    _run(
        "list-for-a-mapping",
        "spec.model",
        ["s3://bucket/model"],
        validate='spec.model: ["s3://bucket/model"]: must be a mapping',
        create='spec.model: Invalid value: "array": spec.model in body must be of type object',
        apply=".spec.model: expected map, got",
    ),
    _run(
        "mapping-for-a-list",
        "spec.stages",
        {"name": "short"},
        validate='spec.stages: {"name": "short"}: must be a list',
        create='strict decoding error: unknown field "spec.stages.name"',
        apply=".spec.stages: expected list, got",
    ),
)

OUT_OF_BOUNDS = (
    _run(
        "stage-without-steps",
        "spec.stages[0].steps",
        0,
        validate="spec.stages[0].steps: 0: must be at least 1",
        create="spec.stages[0].steps: Invalid value: 0: spec.stages[0].steps in body should be greater than or equal "
        "to 1",
    ),
    _run(
        "learning-rate-of-0",
        "spec.optimizer.learningRate",
        0,
        validate="spec.optimizer.learningRate: 0: must be more than 0",
        create="spec.optimizer.learningRate: Invalid value: 0: spec.optimizer.learningRate in body should be greater "
        "than 0",
    ),
    _run(
        "group-of-one",
        "spec.algorithm.samplesPerPrompt",
        1,
        validate="spec.algorithm.samplesPerPrompt: 1: must be at least 2",
        create="spec.algorithm.samplesPerPrompt: Invalid value: 1: spec.algorithm.samplesPerPrompt in body should be "
        "greater than or equal to 2",
    ),
    _run(
        "unknown-preset",
        "spec.algorithm.preset",
        "ppo",
        validate="spec.algorithm.preset: \"ppo\": must be one of 'grpo-plus', 'grpo', 'rllm-release', 'dr-grpo', "
        "'dapo', 'gspo' or 'cispo'",
        create='spec.algorithm.preset: Unsupported value: "ppo": supported values: "grpo-plus", "grpo", '
        '"rllm-release", "dr-grpo", "dapo", "gspo", "cispo"',
    ),
    _run(
        "kl-without-a-reference-model",
        "spec.algorithm.klCoefficient",
        0.1,
        validate="spec.algorithm.klCoefficient: 0.1 needs a reference model, which has no place in a run yet; it must "
        "be 0",
        create="spec.algorithm.klCoefficient: Invalid value: 0.1: spec.algorithm.klCoefficient in body should be less "
        "than or equal to 0",
    ),
    _run(
        "buffer-of-nothing",
        "spec.algorithm.softOverlongPunishment.bufferFraction",
        0,
        validate="spec.algorithm.softOverlongPunishment.bufferFraction: 0: must be more than 0",
        create="spec.algorithm.softOverlongPunishment.bufferFraction: Invalid value: 0: "
        "spec.algorithm.softOverlongPunishment.bufferFraction in body should be greater than 0",
    ),
    _run(
        "zero-stage-4",
        "spec.trainer.deepspeed.zeroStage",
        4,
        validate="spec.trainer.deepspeed.zeroStage: 4: must be one of 0, 1, 2 or 3",
        create='spec.trainer.deepspeed.zeroStage: Unsupported value: 4: supported values: "0", "1", "2", "3"',
    ),
    _run(
        "one-beta",
        "spec.optimizer.betas",
        [0.9],
        validate="spec.optimizer.betas: [0.9]: must have at least 2 items",
        create="spec.optimizer.betas: Invalid value: 1: spec.optimizer.betas in body should have at least 2 items",
    ),
    _run(
        "storage-elsewhere",
        "spec.storage.uri",
        "gs://bucket/prefix",
        validate='spec.storage.uri: "gs://bucket/prefix": must match ^s3://[a-z0-9]',
        create='spec.storage.uri: Invalid value: "gs://bucket/prefix": spec.storage.uri in body should match',
    ),
    _run(
        "checkpoint-without-a-step",
        "spec.resumeFrom",
        {"uri": "s3://bucket/runs/other/checkpoints"},
        validate='spec.resumeFrom.uri: "s3://bucket/runs/other/checkpoints": must match ^s3://',
        create='spec.resumeFrom.uri: Invalid value: "s3://bucket/runs/other/checkpoints": spec.resumeFrom.uri in body '
        "should match",
    ),
    _run(
        "name-of-a-variable",
        "spec.trainer.pod.env.LOG-LEVEL",
        "info",
        validate='spec.trainer.pod.env.LOG-LEVEL: "LOG-LEVEL": must match ^[A-Za-z_][A-Za-z0-9_]*$',
        create='spec.trainer.pod.env: Invalid value: "object": every key must match ^[A-Za-z_][A-Za-z0-9_]*$',
    ),
    _evaluation(
        "pass-at-0",
        "spec.sampling.topP",
        0,
        validate="spec.sampling.topP: 0: must be more than 0",
        create="spec.sampling.topP: Invalid value: 0: spec.sampling.topP in body should be greater than 0",
    ),
)

NAMES = (
    _run(
        "name-too-long",
        "metadata.name",
        "a-name-of-forty-one-characters-is-refused",
        validate='metadata.name: "a-name-of-forty-one-characters-is-refused": must have at most 40 characters',
        create=NAME_RULE,
    ),
    _run(
        "name-begins-with-a-digit",
        "metadata.name",
        "1st-run",
        validate='metadata.name: "1st-run": must match ^[a-z]([-a-z0-9]*[a-z0-9])?$',
        create=NAME_RULE,
    ),
    _run(
        "day-that-is-none",
        "spec.data.sources[0].window",
        {"from": "2023-13-01"},
        validate='spec.data.sources[0].window.from: "2023-13-01": must match ',
        create='spec.data.sources[0].window.from: Invalid value: "2023-13-01": '
        "spec.data.sources[0].window.from in body should match ",
    ),
    _run(
        "name-with-a-dot",
        "metadata.name",
        "first.run",
        validate='metadata.name: "first.run": must match ^[a-z]([-a-z0-9]*[a-z0-9])?$',
        create=NAME_RULE,
    ),
    _run(
        "stage-named-twice",
        "spec.stages[1].name",
        "short",
        validate="spec.stages: the name 'short' is given twice; each must be unique",
        create='spec.stages[1]: Duplicate value: {"name":"short"}',
        apply='.spec.stages: duplicate entries for key [name="short"]',
    ),
    _run(
        "source-named-twice",
        "spec.data.sources[1]",
        {"name": "made", "format": "jsonl", "uri": "s3://bucket/more.jsonl"},
        validate="spec.data.sources: the name 'made' is given twice; each must be unique",
        create='spec.data.sources[1]: Duplicate value: {"name":"made"}',
        apply='.spec.data.sources: duplicate entries for key [name="made"]',
    ),
    _run(
        "decontamination-source-named-twice",
        "spec.data.decontaminate",
        [{"name": "bench", "format": "jsonl", "uri": f"s3://bucket/{file}.jsonl"} for file in "ab"],
        validate="spec.data.decontaminate: the name 'bench' is given twice; each must be unique",
        create='spec.data.decontaminate[1]: Duplicate value: {"name":"bench"}',
        apply='.spec.data.decontaminate: duplicate entries for key [name="bench"]',
    ),
    _run(
        "difficulty-of-a-source-that-is-not-there",
        "spec.data.difficulty",
        {"samplesPerPrompt": 8, "keepBelow": 1, "sources": ["made", "mode"]},
        validate="spec.data.difficulty.sources: 'mode' is none of data.sources: made",
        create='spec.data.difficulty.sources: Invalid value: "object": must be names of data.sources',
    ),
    _run(
        "difficulty-that-drops-nothing",
        "spec.data.difficulty",
        {"samplesPerPrompt": 8},
        validate="spec.data.difficulty: keepAbove, keepBelow or both must be given: else nothing would be dropped",
        create='spec.data.difficulty: Invalid value: "object": keepAbove, keepBelow or both must be given',
    ),
    _run(
        "difficulty-that-keeps-nothing",
        "spec.data.difficulty",
        {"samplesPerPrompt": 8, "keepAbove": 0.5, "keepBelow": 0.5},
        validate="spec.data.difficulty.keepBelow: no share of 8 answers is above 0.5 (keepAbove) and below 0.5 "
        "(keepBelow), both exclusive: every problem would be dropped",
        create='spec.data.difficulty.keepBelow: Invalid value: "object": must be more than keepAbove',
    ),
    _evaluation(
        "benchmark-named-twice",
        "spec.benchmarks[1]",
        {"name": "held-out", "kind": "jsonl", "uri": "s3://bucket/more.jsonl"},
        validate="spec.benchmarks: the name 'held-out' is given twice; each must be unique",
        create='spec.benchmarks[1]: Duplicate value: {"name":"held-out"}',
        apply='.spec.benchmarks: duplicate entries for key [name="held-out"]',
    ),
)

UNIONS = (
    _evaluation(
        "two-models",
        "spec.model.trainingRun",
        {"name": "tiny"},
        validate="spec.model: exactly one of uri, trainingRun, endpoint must be given, not 2",
        create='spec.model: Invalid value: "object": exactly one of uri, trainingRun, endpoint must be given',
    ),
    _evaluation(
        "no-model",
        "spec.model",
        {"secretName": "token"},
        validate="spec.model: exactly one of uri, trainingRun, endpoint must be given, not 0",
        create='spec.model: Invalid value: "object": exactly one of uri, trainingRun, endpoint must be given',
    ),
    _evaluation(
        "two-checkpoints",
        "spec.model",
        {"trainingRun": {"name": "tiny", "checkpoint": {"latest": {}, "step": 3}}},
        validate="spec.model.trainingRun.checkpoint: exactly one of latest, best, step must be given, not 2",
        create='spec.model.trainingRun.checkpoint: Invalid value: "object": exactly one of latest, best, step must be',
    ),
    _evaluation(
        "no-checkpoint",
        "spec.model",
        {"trainingRun": {"name": "tiny", "checkpoint": {}}},
        validate="spec.model.trainingRun.checkpoint: exactly one of latest, best, step must be given, not 0",
        create='spec.model.trainingRun.checkpoint: Invalid value: "object": exactly one of latest, best, step must be',
    ),
)

_HELD_OUT = {"name": "held-out", "format": "jsonl", "uri": "s3://bucket/held-out.jsonl"}
_DATED = {"name": "made", "format": "livecodebench", "uri": "s3://bucket/test.jsonl"}

ACROSS_FIELDS = (
    _run(
        "window-without-dates",
        "spec.data.sources[0].window",
        {"from": "2023-05-01"},
        validate="spec.data.sources[0].window: rows of format 'jsonl' have no contest date; formats that have: "
        "livecodebench",
        create='spec.data.sources[0].window: Invalid value: "object": needs a format whose rows have a contest date: '
        "livecodebench",
    ),
    _run(
        "window-that-ends-before-it-begins",
        "spec.data.sources[0]",
        {**_DATED, "window": {"from": "2024-08-01", "to": "2024-07-31"}},
        validate="spec.data.sources[0].window.to: '2024-07-31' is before from ('2024-08-01')",
        create='spec.data.sources[0].window.to: Invalid value: "object": must not be before from',
    ),
    _run(
        "more-shards-than-gpus",
        "spec.rollout",
        {"gpusPerReplica": 2, "tensorParallel": 4},
        validate="spec.rollout.tensorParallel: 4 is more than rollout.gpusPerReplica (2); at most one shard a GPU",
        create='spec.rollout.tensorParallel: Invalid value: "object": must be at most rollout.gpusPerReplica',
    ),
    _run(
        "context-too-short",
        "spec.rollout.maxModelLength",
        2303,
        validate="spec.rollout.maxModelLength: 2303 is less than data.maxPromptTokens (2048) plus the longest stage's "
        "maxResponseTokens (256): at least 2304 is needed",
        create='spec.rollout.maxModelLength: Invalid value: "object": must be at least data.maxPromptTokens plus the '
        "longest stage's maxResponseTokens",
    ),
    _run(
        "microbatch-too-small",
        "spec.trainer.tokensPerMicrobatch",
        2303,
        validate="spec.trainer.tokensPerMicrobatch: 2303 cannot hold one sample of up to 2304 tokens",
        create='spec.trainer.tokensPerMicrobatch: Invalid value: "object": must hold one sample, times '
        "sequenceParallel: data.maxPromptTokens plus the longest stage's maxResponseTokens",
    ),
    _run(
        "ranks-that-cannot-share-a-sequence",
        "spec.trainer",
        {"gpusPerReplica": 8, "sequenceParallel": 3},
        validate="spec.trainer.sequenceParallel: 3 does not divide the 8 ranks (trainer.replicas times GPUs); it may "
        "be 1, 2, 4, 8",
        create='spec.trainer.sequenceParallel: Invalid value: "object": must divide the ranks: trainer.replicas times '
        "trainer.gpusPerReplica (1 on CPU)",
    ),
    _run(
        "offload-without-zero",
        "spec.trainer.deepspeed",
        {"zeroStage": 0, "offload": "optimizer"},
        validate="spec.trainer.deepspeed.offload: 'optimizer' needs zeroStage 1, 2 or 3, not 0",
        create='spec.trainer.deepspeed.offload: Invalid value: "object": needs zeroStage 1, 2 or 3: without ZeRO '
        "nothing is offloaded",
    ),
    _run(
        "parameters-offloaded-below-zero-3",
        "spec.trainer.deepspeed",
        {"zeroStage": 2, "offload": "parameters"},
        validate="spec.trainer.deepspeed.offload: 'parameters' needs zeroStage 3, not 2; 'optimizer' needs 1 to 3",
        create='spec.trainer.deepspeed.offload: Invalid value: "object": parameters can be offloaded only with '
        "zeroStage 3",
    ),
    _run(
        "offload-on-cpu",
        "spec.trainer",
        {"gpusPerReplica": 0, "deepspeed": {"zeroStage": 2, "offload": "optimizer"}},
        validate="spec.trainer.deepspeed.offload: 'optimizer' needs trainer.gpusPerReplica above 0: on CPU all lies in "
        "the node's memory, and only 'none' is allowed",
        create='spec.trainer.deepspeed.offload: Invalid value: "object": needs GPUs (trainer.gpusPerReplica): on CPU '
        "all lies in the node's memory",
    ),
    _run(
        "stage-whose-microbatch-is-too-small",
        "spec.stages[1].tokensPerMicrobatch",
        2303,
        validate="spec.stages[1].tokensPerMicrobatch: 2303 cannot hold one sample of up to 2304 tokens",
        create='spec.stages: Invalid value: "object": a stage\'s tokensPerMicrobatch must hold one sample',
    ),
    _run(
        "advance-on-nothing",
        "spec.stages[0].advanceWhen",
        {"windowSteps": 2},
        validate="spec.stages[0].advanceWhen.truncatedFractionAbove: it, rewardAbove or both must be given, not "
        "neither",
        create='spec.stages[0].advanceWhen: Invalid value: "object": needs truncatedFractionAbove, rewardAbove or both',
    ),
    _run(
        "window-as-long-as-the-stage",
        "spec.stages[0]",
        {"name": "short", "maxResponseTokens": 256, "steps": 5, "advanceWhen": {"rewardAbove": 0.5, "windowSteps": 5}},
        validate="spec.stages[0].advanceWhen: has no effect: windowSteps (5) and algorithm.maxStaleness (0) together "
        "must be less than the stage's steps (5)",
        create='spec.stages[0].advanceWhen: Invalid value: "object": has no effect: windowSteps must be less than '
        "steps",
    ),
    _run(
        "last-stage-that-advances",
        "spec.stages[1]",
        {"name": "long", "maxResponseTokens": 256, "steps": 5, "advanceWhen": {"rewardAbove": 0.5, "windowSteps": 2}},
        validate="spec.stages[1].advanceWhen: the last stage has none to advance to: leave it out",
        create='spec.stages: Invalid value: "object": the last stage has none to advance to',
    ),
    _run(
        "empty-optimizer-emptied",
        "spec.stages[0].resetOptimizer",
        True,
        validate="spec.stages[0].resetOptimizer: true has no effect: without resumeFrom the first stage begins "
        "with an empty optimizer",
        create='spec.stages: Invalid value: "object": without resumeFrom the first stage begins with an empty',
    ),
    _run(
        "rate-that-falls-to-a-step-nobody-knows",
        "spec.stages",
        [
            {
                "name": "short",
                "maxResponseTokens": 256,
                "steps": 5,
                "advanceWhen": {"rewardAbove": 0.5, "windowSteps": 2},
            },
            {"name": "long", "maxResponseTokens": 256, "steps": 5},
        ],
        base=changed(training_run("rate"), "spec.optimizer.schedule", "linear"),
        validate="spec.optimizer.schedule: linear needs to know the last step, which advanceWhen leaves open",
        create='spec.optimizer.schedule: Invalid value: "object": linear needs to know the last step',
    ),
    _run(
        "best-without-a-score",
        "spec.checkpoint",
        {"keepBest": 2},
        validate="spec.checkpoint.keepBest: 2 needs validation, whose score says which are the best",
        create='spec.checkpoint.keepBest: Invalid value: "object": needs validation',
    ),
    _run(
        "best-of-what-is-not-kept",
        "spec.checkpoint",
        {"keepBest": 2, "everySteps": 4},
        base=changed(training_run("best"), "spec.validation", {"everySteps": 6, "sources": [_HELD_OUT]}),
        validate="spec.checkpoint.keepBest: 2 needs a checkpoint of every step that is measured: "
        "validation.everySteps (6) must be a multiple of checkpoint.everySteps (4)",
        create='spec.checkpoint.keepBest: Invalid value: "object": needs validation, with an everySteps that is a '
        "multiple",
    ),
    _evaluation(
        "more-shards-than-gpus-to-measure",
        "spec.engine",
        {"gpusPerReplica": 0, "tensorParallel": 2},
        validate="spec.engine.tensorParallel: 2 is more than engine.gpusPerReplica (0); at most one shard a GPU",
        create='spec.engine.tensorParallel: Invalid value: "object": must be at most engine.gpusPerReplica',
    ),
    _evaluation(
        "no-place-for-a-prompt",
        "spec.engine.maxModelLength",
        64000,
        validate="spec.sampling.maxTokens: 64000 leaves no place for a prompt: it must be less than "
        "engine.maxModelLength (64000)",
        create='spec.sampling.maxTokens: Invalid value: "object": must be less than engine.maxModelLength',
    ),
    _evaluation(
        "length-beyond-the-limit",
        "spec",
        {**evaluation()["spec"], "sampling": {"maxTokens": 100}, "contextLengths": [50, 200]},
        validate="spec.contextLengths: 200 is more than sampling.maxTokens (100): answers end there",
        create='spec.contextLengths: Invalid value: "object": each must be less than engine.maxModelLength and at most',
    ),
    _evaluation(
        "endpoint-without-a-tokenizer",
        "spec",
        {
            **evaluation()["spec"],
            "model": {"endpoint": {"url": "https://host", "name": "m"}},
            "contextLengths": [50, 200],
        },
        validate="spec.contextLengths: 50 is shorter than the answers (200); to cut those of an endpoint "
        "model.endpoint.tokenizer is needed",
        create='spec.contextLengths: Invalid value: "object": shorter lengths of an endpoint\'s answers need',
    ),
    _evaluation(
        "another-engine-without-a-gpu",
        "spec.engine",
        {"kind": "sglang", "gpusPerReplica": 0},
        validate="spec.engine.gpusPerReplica: kind sglang needs a GPU; vllm alone serves on CPU",
        create='spec.engine.gpusPerReplica: Invalid value: "object": an engine other than vllm needs a GPU',
    ),
    _evaluation(
        "serve-what-is-served",
        "spec",
        {**evaluation()["spec"], "model": {"endpoint": {"url": "https://host", "name": "m"}}, "serve": True},
        validate="spec.serve: a model.endpoint is served already",
        create='spec.serve: Invalid value: "object": a model.endpoint is served already',
    ),
    _evaluation(
        "length-twice",
        "spec.contextLengths",
        [50, 50],
        validate="spec.contextLengths: 50 is given twice; each may stand once",
        create='spec.contextLengths: Invalid value: "object": each may stand once',
    ),
    _evaluation(
        "release-of-another-benchmark",
        "spec.benchmarks[0].release",
        "v5",
        validate="spec.benchmarks[0].release: is only for kind livecodebench, not jsonl",
        create='spec.benchmarks[0].release: Invalid value: "object": only for kind livecodebench',
    ),
    _evaluation(
        "codeforces-without-standings",
        "spec.benchmarks[0]",
        {"name": "cf", "kind": "codeforces", "uri": "s3://b/p", "ratingsUri": "s3://b/r", "tests": "full"},
        validate="spec.benchmarks[0].standingsUri: kind codeforces needs it",
        create='spec.benchmarks[0]: Invalid value: "object": kind codeforces needs standingsUri',
    ),
)

REFUSALS: tuple[Refusal, ...] = (
    *UNKNOWN,
    *MISSING,
    *WRONG_TYPE,
    *OUT_OF_BOUNDS,
    *NAMES,
    *UNIONS,
    *ACROSS_FIELDS,
)
