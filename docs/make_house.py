"""Draws docs/house.svg: the parts of a run on the cluster and who speaks to whom. `python3 docs/make_house.py`."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

WIDTH, HEIGHT = 980, 560
INK, LINE, PALE, ACCENT, WALL = "#1f2933", "#52606d", "#f5f7fa", "#0b6e4f", "#c0392b"


@dataclass(frozen=True)
class Box:
    """A part: a title and what is said of it."""

    x: int
    y: int
    width: int
    height: int
    title: str
    lines: tuple[str, ...]
    stroke: str = LINE
    fill: str = "#ffffff"
    dashed: bool = False


# ruff: noqa: E501 - a row a box reads as a table
BOXES = (
    Box(20, 20, 200, 96, "you", ("kubectl apply, Helm, GitOps", "TrainingRun · Evaluation", "deepcoder validate | watch | run")),
    Box(20, 190, 200, 150, "operator", ("kopf, level-triggered", "plan(resource, children, now)", "one status write at the end", "never reads a Secret,", "never talks to S3")),
    Box(290, 20, 200, 96, "preflight, prepare", ("Jobs on the CPU", "model, bucket, key, data", "every solution is run")),
    Box(290, 170, 200, 190, "trainer", ("orchestrator, a process apart:", "cursor, rollouts, grading,", "journal, checkpoints", "", "torchrun over DeepSpeed:", "GRPO+ on immutable batches")),
    Box(570, 170, 180, 118, "rollout", ("vLLM with our weight engine", "pull, pause, load, resume", "token ids in and out"), ),
    Box(570, 330, 180, 118, "sandbox", ("gVisor, no network, no token", "warm zygote, fork a program", "expected outputs stay outside"), WALL, "#fdf3f2"),
    Box(290, 420, 200, 96, "evaluation", ("engine: vLLM, OpenAI API", "evaluator: asks, grades, scores")),
    Box(800, 170, 160, 278, "S3", ("datasets/", "runs/…/journal/", "runs/…/checkpoints/", "  complete.json last", "runs/…/head.json", "  the fence", "runs/…/samples/", "evaluations/…/report"), ACCENT, "#f1f8f5"),
)  # fmt: skip

# (points, label, label position)
ARROWS = (
    (((120, 116), (120, 190)), "resources", (126, 158)),
    (((220, 230), (255, 230), (255, 80), (290, 80)), "", (0, 0)),
    (((220, 265), (290, 265)), "makes", (224, 258)),
    (((220, 310), (255, 310), (255, 468), (290, 468)), "", (0, 0)),
    (((490, 205), (570, 205)), "prompts", (500, 198)),
    (((570, 235), (490, 235)), "answers", (500, 251)),
    (((490, 275), (570, 275)), "weights", (500, 291)),
    (((490, 340), (530, 340), (530, 370), (570, 370)), "grade", (497, 333)),
    (((490, 480), (530, 480), (530, 415), (570, 415)), "grade", (497, 473)),
    (((490, 182), (540, 182), (540, 148), (880, 148), (880, 170)), "journal, checkpoints, samples", (600, 142)),
    (((490, 60), (900, 60), (900, 170)), "dataset", (600, 54)),
    (((490, 500), (880, 500), (880, 448)), "samples, report", (600, 494)),
)


def main() -> None:
    """Write the picture beside this file."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif">',
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        f'orient="auto-start-reverse"><path d="M0 0 L10 5 L0 10 z" fill="{LINE}"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PALE}"/>',
        *(arrow(*one) for one in ARROWS),
        *(box(one) for one in BOXES),
        "</svg>",
    ]
    Path(__file__).with_name("house.svg").write_text("\n".join(parts) + "\n")


def box(one: Box) -> str:
    """A box with its text."""
    x = one.x + 12
    lines = "".join(
        f'<text x="{x}" y="{one.y + 46 + 18 * index}" font-size="11" fill="{LINE}" xml:space="preserve">'
        f"{escape(line)}</text>"
        for index, line in enumerate(one.lines)
    )
    return (
        f'<rect x="{one.x}" y="{one.y}" width="{one.width}" height="{one.height}" rx="8" fill="{one.fill}" '
        f'stroke="{one.stroke}" stroke-width="1.6"/>'
        f'<text x="{x}" y="{one.y + 24}" font-size="15" font-weight="600" fill="{INK}">{escape(one.title)}</text>{lines}'
    )


def arrow(points: tuple[tuple[int, int], ...], label: str, place: tuple[int, int]) -> str:
    """A line with a tip, and its label."""
    path = " ".join(f"{x},{y}" for x, y in points)
    text = f'<text x="{place[0]}" y="{place[1]}" font-size="10.5" fill="{LINE}">{escape(label)}</text>' if label else ""
    return f'<polyline points="{path}" fill="none" stroke="{LINE}" stroke-width="1.4" marker-end="url(#tip)"/>{text}'


if __name__ == "__main__":
    main()
