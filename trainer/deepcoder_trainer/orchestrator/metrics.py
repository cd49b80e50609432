"""What an orchestrator tells Prometheus, each name with its unit, and the figures of a batch. No I/O."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from deepcoder_api.artifacts import ValidationResult
from deepcoder_api.rollout import WeightReceipt
from deepcoder_trainer.algorithm.advantages import groups_with_signal
from deepcoder_trainer.orchestrator.checkpoints import Committed
from deepcoder_trainer.orchestrator.idleness import IdleClock
from deepcoder_trainer.samples import GradedBatch, Sample

STALENESS_BUCKETS = [0, 1, 2, 4, 8, 16, 32, 64]
PAUSE_BUCKETS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30]
TOKEN_BUCKETS = [2**power for power in range(4, 18)]
# Name in a rank's results, our name, what it is.
TRAINING = (
    ("loss", "loss", "Policy loss of the last step"),
    ("gradient_norm", "gradient_norm", "Norm of the gradient before it is clipped"),
    ("clip_fraction_low", "clip_low_ratio", "Share of tokens whose probability ratio was clipped from below"),
    ("clip_fraction_high", "clip_high_ratio", "Share of tokens whose probability ratio was clipped from above"),
    ("sampler_kl", "sampler_kl_nats", "KL of the sampler from the trainer, by token: the numerical gap"),
    ("learning_rate", "learning_rate", "Learning rate of the last step"),
    ("entropy", "entropy_nats", "Mean entropy of the policy by token"),
    ("trainer_tokens_per_second", "trainer_tokens_per_second", "Tokens a second that the ranks trained on"),
    ("trainer_flops_per_second", "trainer_flops_per_second", "Model FLOP a second of all ranks (PaLM, appendix B)"),
    ("model_flop_utilization", "model_flop_utilization_ratio", "Model FLOP over the GPUs' peak, 0 where unknown"),
    ("group_signal_fraction", "group_signal_ratio", "Share of groups with an advantage that is not zero"),
)


@dataclass(frozen=True)
class BatchFigures:
    """What a graded batch looks like. `reward` and `truncated` are means over samples.

    `generated` is the samples generated for it over those that it has: above 1 where groups were replaced; `replaced`
    counts such groups by the reward that all their answers earned.
    """

    samples: int
    reward: float
    truncated: float
    answer_tokens: int
    groups_without_signal: int
    verdicts: dict[str, int]
    generated: float
    replaced: dict[float, int]


def batch_figures(batch: GradedBatch) -> BatchFigures:
    """The figures of a batch of at least one sample. All groups are of one size."""
    samples = batch.samples
    rewards, groups = [sample.reward for sample in samples], [sample.group for sample in samples]
    signal = groups_with_signal([sample.advantage for sample in samples], groups)
    return BatchFigures(
        samples=len(samples),
        reward=sum(rewards) / len(samples),
        truncated=sum(sample.truncated for sample in samples) / len(samples),
        answer_tokens=sum(len(sample.answer_ids) for sample in samples),
        groups_without_signal=len(set(groups)) - signal,
        verdicts=dict(Tally(sample.verdict.value for sample in samples)),
        generated=1 + len(batch.replaced) / len(set(groups)),
        replaced=dict(Tally(group.reward for group in batch.replaced)),
    )


class RunMetrics:
    """The metrics of one orchestrator, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._warned: set[str] = set()
        self.idleness = IdleClock()
        self.step = self._gauge("step", "Steps done")
        self.policy_version = self._gauge("policy_version", "Version of the weights")
        self.stage = self._gauge("stage", "Stage of the step under way, counted from 1")
        self.response_limit = self._gauge("response_limit_tokens", "Response limit of the step under way")
        self.reward = self._gauge("reward_ratio", "Mean reward of the last step")
        self.truncated = self._gauge("truncated_ratio", "Share of the last step's answers cut at the limit")
        self.tokens_per_second = self._gauge("response_tokens_per_second", "Response tokens a second, whole step")
        self.rollouts_ready = self._gauge("rollouts_ready", "Rollout servers that hold the current weights")
        self.generating = self._gauge("answers_generating", "Answers asked of rollout servers and not there yet")
        self.grading = self._gauge("answers_grading", "Answers with the sandboxes")
        self.rank_commands = self._gauge("rank_commands_waiting", "Commands that the ranks have not finished")
        self.checkpoint_step = self._gauge("checkpoint_step", "Step of the newest committed checkpoint")
        self.checkpoint_seconds = self._gauge("checkpoint_seconds", "Seconds that the newest checkpoint took")
        self.validation_step = self._gauge("validation_step", "Step of the newest validation")
        self.validation_score = self._gauge("validation_pass_at_1_ratio", "Share of its answers that were accepted")
        self.validation_truncated = self._gauge("validation_truncated_ratio", "Share of its answers cut at the limit")
        self.validation_seconds = self._gauge("validation_seconds", "Seconds that it took")
        self.training = {name: self._gauge(ours, text) for name, ours, text in TRAINING}
        self.response_tokens = Histogram(
            "deepcoder_response_tokens", "Tokens of an answer, by its verdict", ["verdict"], buckets=TOKEN_BUCKETS,
            registry=self.registry,
        )  # fmt: skip
        self.staleness = Histogram(
            "deepcoder_staleness_versions",
            "Versions that the trained weights were ahead of those of an answer's first token",
            buckets=STALENESS_BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.part_seconds = self._gauge("step_part_seconds", "Seconds by part of the last step", "part")
        self.part_seconds_sum = self._counter("step_part_seconds_sum", "Seconds by part of all steps", "part")
        self.idle_seconds = self._counter(
            "idle_seconds",
            "Seconds in which no answer was generated and no rank trained, by what was waited for",
            "part",
        )
        self.verdicts = self._counter("verdicts", "Graded answers by verdict", "verdict")
        self.groups_without_signal = self._counter("groups_without_signal", "Groups whose advantages were all zero")
        self.generated = self._gauge(
            "generated_samples_ratio", "Samples generated over samples used, last step: more than 1 where replaced"
        )
        self.groups_replaced = self._counter(
            "groups_replaced", "Groups replaced, by the reward that all their answers earned", "reward"
        )
        self.warnings = self._gauge("guard_warning", "1 while a guard finds this wrong", "guard")
        self.weight_bytes = self._counter("weight_sync_bytes", "Bytes of weights that servers fetched", "source")
        self.weight_seconds = self._counter("weight_sync_seconds", "Seconds of weight take-overs", "part")
        self.weight_pause = Histogram(
            "deepcoder_weight_sync_pause_seconds", "Seconds that a server sampled nothing to load weights",
            buckets=PAUSE_BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.weight_failures = self._counter("weight_sync_failures", "Weight orders that a server did not carry out")
        self.weight_source_failures = self._counter(
            "weight_sync_source_failures",
            "Times that a peer or trainer did not give a shard it was asked for",
            "reason",
        )

    def begin(self, stage: int, response_limit: int) -> None:
        """A step of this stage is under way."""
        self.stage.set(stage)
        self.response_limit.set(response_limit)

    def warned(self, guards: Sequence[str]) -> None:
        """What the guards find now; what they found before and do not any more is 0."""
        for guard in {*self._warned, *guards}:
            self.warnings.labels(guard).set(float(guard in guards))
        self._warned.update(guards)

    def weights_received(self, receipt: WeightReceipt) -> None:
        """A server has taken weights over."""
        self.weight_bytes.labels("trainer").inc(receipt.trainer_bytes)
        self.weight_bytes.labels("peer").inc(receipt.peer_bytes)
        for reason, times in receipt.failures.items():
            self.weight_source_failures.labels(reason).inc(times)
        self.weight_pause.observe(receipt.pause_seconds)
        self.weight_seconds.labels("fetch").inc(receipt.fetch_seconds)
        self.weight_seconds.labels("pause").inc(receipt.pause_seconds)

    def validated(self, result: ValidationResult) -> None:
        """A validation is over and stored."""
        self.validation_step.set(result.step)
        self.validation_score.set(result.pass_at_1)
        self.validation_truncated.set(result.truncated_fraction)
        self.validation_seconds.set(result.seconds)

    def weights_published(self, seconds: float) -> None:
        """The ranks have published a version in so many seconds."""
        self.weight_seconds.labels("publish").inc(seconds)

    def checkpoint_committed(self, checkpoint: Committed) -> None:
        """A checkpoint is in the bucket and the head names it."""
        self.checkpoint_step.set(checkpoint.step)
        self.checkpoint_seconds.set(checkpoint.seconds)

    def step_done(
        self, step: int, samples: Sequence[Sample], figures: BatchFigures, training: dict[str, float],
        seconds: dict[str, float],
    ) -> None:  # fmt: skip
        """A step is over: its batch, what the ranks made of it, and its seconds by part."""
        self.step.set(step)
        self.policy_version.set(step)
        self.reward.set(figures.reward)
        self.truncated.set(figures.truncated)
        self.tokens_per_second.set(figures.answer_tokens / max(sum(seconds.values()), 1e-9))
        self.groups_without_signal.inc(figures.groups_without_signal)
        self.generated.set(figures.generated)
        for reward, count in figures.replaced.items():
            self.groups_replaced.labels(f"{reward:g}").inc(count)
        for sample in samples:
            self.response_tokens.labels(sample.verdict.value).observe(len(sample.answer_ids))
            self.staleness.observe(step - 1 - sample.staleness_version)
        for verdict, count in figures.verdicts.items():
            self.verdicts.labels(verdict).inc(count)
        for part, spent in seconds.items():
            self.part_seconds.labels(part).set(spent)
            self.part_seconds_sum.labels(part).inc(spent)
        for name, gauge in self.training.items():
            if name in training:
                gauge.set(training[name])

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"deepcoder_{name}", text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"deepcoder_{name}", text, labels, registry=self.registry)
