"""A run's plan as tables for a terminal. Pure."""

from __future__ import annotations

from rich.console import Group, JustifyMethod, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from deepcoder_api.planning.plan_models import GIB, PlannedRollout, PlannedTrainer, RunPlan


def plan_view(plan: RunPlan) -> RenderableType:
    """Pods, stages, GPU memory, remarks."""
    parts: list[RenderableType] = [_title(f"{plan.namespace}/{plan.name}"), _summary(plan), Text()]
    parts += [_title("pods"), _roles(plan), Text(), _title("stages, tokens at most"), _stages(plan), Text()]
    if plan.trainer:
        place = f"GPU memory of a trainer rank, of {_gib(plan.gpu_memory)}"
        parts += [_title(place if plan.trainer.on_gpu else "memory of a trainer rank"), _trainer(plan.trainer), Text()]
        if plan.trainer.on_gpu:
            parts += [_title("memory of a trainer pod, beside its processes"), _node(plan.trainer), Text()]
    if plan.rollout:
        place = f"GPU memory of a rollout server, of each GPU's {_gib(plan.gpu_memory)}"
        parts += [_title(place if plan.rollout.on_gpu else "memory of a rollout server"), _rollout(plan.rollout)]
    parts += [Text(remark, style="yellow") for remark in plan.remarks]
    return Group(*parts)


def _summary(plan: RunPlan) -> Text:
    model = f"{plan.parameters / 1e9:.2f} billion parameters, " if plan.parameters else ""
    return Text(f"{model}{plan.gpus} GPUs, {plan.steps:,} steps, at most {_billions(plan.most_tokens)} tokens")


def _roles(plan: RunPlan) -> Table:
    table = _table("role", "replicas", "GPUs", "CPU", "memory", "", left=("role", ""))
    for role in plan.roles:
        table.add_row(
            role.role,
            str(role.replicas),
            str(role.gpus) if role.gpus else "–",
            f"{role.cpu:g}" if role.cpu else "–",
            _gib(role.memory) if role.memory else "–",
            "" if role.whole_run else "before the trainer",
        )
    return table


def _stages(plan: RunPlan) -> Table:
    table = _table("stage", "response", "steps", "answers", "optimizer steps", "tokens", left=("stage",))
    for stage in plan.stages:
        table.add_row(
            stage.name,
            f"{stage.max_response_tokens:,}",
            f"{stage.steps:,}",
            f"{stage.answers:,}",
            f"{stage.optimizer_steps:,}",
            _billions(stage.most_tokens),
        )
    return table


def _trainer(trainer: PlannedTrainer) -> Table:
    table = _table("", "GiB", "", left=("", ""))
    layers = "the input of every layer, stage " + trainer.stage if trainer.on_gpu else f"stage {trainer.stage}"
    rows = (
        ("weights", trainer.weights, _many(trainer.ranks, "rank")),
        ("gradients", trainer.gradients, "fp32"),
        ("optimizer", trainer.optimizer, "AdamW, fp32"),
        ("buffers", trainer.buffers, "what ZeRO gathers and reduces at a time"),
        ("activations", trainer.checkpoints, layers),
        ("one layer", trainer.layer, "its activations and gradients; not at once with the logits"),
        ("logits", trainer.head, "of one chunk of tokens"),
        ("optimizer step", trainer.update, "not at once with activations"),
        ("context", trainer.context, "CUDA and NCCL, an estimate"),
    )
    for name, size, note in rows:
        if size:
            table.add_row(name, f"{size / GIB:.2f}", Text(note, style="dim"))
    table.add_row(Text("at the worst moment", style="bold"), Text(f"{trainer.total / GIB:.2f}", style="bold"), "")
    return table


def _node(trainer: PlannedTrainer) -> Table:
    """Of all ranks of a pod, beside what its processes need."""
    table = _table("", "GiB", "", left=("", ""))
    rows = (
        ("offloaded", trainer.offloaded, "what is updated by the CPU, and what the GPUs get of it"),
        ("published weights", trainer.published, "two versions, for rollout servers to fetch"),
    )
    for name, size, note in rows:
        if size:
            table.add_row(name, f"{trainer.ranks_per_pod * size / GIB:.2f}", Text(note, style="dim"))
    table.add_row(
        Text("together", style="bold"), Text(f"{trainer.node / GIB:.2f}", style="bold"),
        Text(_many(trainer.ranks_per_pod, "rank"), style="dim"),
    )  # fmt: skip
    return table


def _rollout(rollout: PlannedRollout) -> Table:
    table = _table("", "GiB", "", left=("", ""))
    table.add_row("weights", f"{rollout.weights / GIB:.2f}", "")
    if rollout.on_gpu:
        table.add_row("activations", f"{rollout.activations / GIB:.2f}", Text("an estimate", style="dim"))
    fits = f"{rollout.kv_bytes_per_token / 1024:g} KiB a token"
    table.add_row("KV cache", f"{rollout.kv_cache / GIB:.2f}", Text(fits, style="dim"))
    word = "sequences" if rollout.sequences >= 1 else "of a sequence"
    table.add_row(
        Text("at once", style="bold"),
        Text(f"{rollout.sequences:.1f}", style="bold"),
        Text(f"{word} of {rollout.max_model_length:,} tokens; {_many(rollout.servers, 'server')}", style="dim"),
    )
    return table


def _table(*columns: str, left: tuple[str, ...]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", show_header=any(columns[:1]))
    for name in columns:
        justify: JustifyMethod = "left" if name in left else "right"
        table.add_column(name, justify=justify)
    return table


def _title(text: str) -> Rule:
    return Rule(Text(text, style="bold"), align="left", style="dim")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}"


def _gib(size: int) -> str:
    return f"{size / GIB:.4g} GiB"


def _billions(tokens: int) -> str:
    return f"{tokens / 1e9:.3g} billion" if tokens >= 1e9 else f"{tokens:,}"
