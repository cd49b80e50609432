"""A step's figures as numbers with a name each, as TensorBoard, W&B and MLflow show them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from deepcoder_api.artifacts import StepFigures


def scalars(figures: StepFigures) -> Iterator[tuple[str, float]]:
    """Tag and value of all that a step came to; tags of one kind share a prefix, and so a section."""
    yield "answers/reward", figures.reward
    yield "answers/truncated", figures.truncated
    yield "answers/groups_without_signal", float(figures.groups_without_signal)
    yield "length/mean", figures.answer_tokens / figures.answers
    yield "length/median", figures.median_answer
    yield "length/shortest", float(figures.shortest_answer)
    yield "length/longest", float(figures.longest_answer)
    for prefix, values in (("training", figures.training), ("seconds", figures.seconds)):
        for name in sorted(values):
            yield f"{prefix}/{name}", values[name]
    for verdict in sorted(figures.verdicts):
        yield f"verdicts/{verdict}", figures.verdicts[verdict] / figures.answers
