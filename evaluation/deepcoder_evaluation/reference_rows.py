"""Published scores that a report shows beside its own, each with its source. Numbers are as they were published."""

from __future__ import annotations

from dataclasses import dataclass

CARD = "agentica-org/DeepCoder-14B-Preview, model card"
BLOG = "DeepCoder, release notes: LiveCodeBench by response length"
LIVECODEBENCH = "LiveCodeBench v5, 2024-08-01 to 2025-02-01, pass@1 in %"
CODEFORCES = "Codeforces rating and percentile by CodeElo"
HUMAN_EVAL_PLUS = "HumanEval+, pass@1 in %"
AIME = "AIME 2024, pass@1 in %, mean of 16 answers"
SCALER_CARD = "agentica-org/DeepScaleR-1.5B-Preview, model card"


@dataclass(frozen=True)
class ReferenceRow:
    """One published number: of pass@1 in percent, or a rating with its percentile. `tokens`: at this response limit."""

    model: str
    kind: str
    what: str
    value: float
    percentile: float | None = None
    tokens: int | None = None
    source: str = CARD


# Model, LiveCodeBench, rating, percentile, HumanEval+; None where the card has no number.
_CARD_ROWS: tuple[tuple[str, float, float | None, float | None, float | None], ...] = (
    ("DeepCoder-14B-Preview", 60.6, 1936, 95.3, 92.6),
    ("DeepSeek-R1-Distill-Qwen-14B", 53.0, 1791, 92.7, 92.0),
    ("O1-2024-12-17 (low)", 59.5, 1991, 96.1, 90.8),
    ("O3-mini-2025-1-31 (low)", 60.9, 1918, 94.9, 92.6),
    ("O1-Preview", 42.7, 1658, 88.5, 89.0),
    ("DeepSeek-R1", 62.8, 1948, 95.4, 92.6),
    ("Llama-4-Behemoth", 49.4, None, None, None),
)
_BY_LENGTH: tuple[tuple[str, int, float], ...] = (
    ("DeepCoder-14B-Preview", 16384, 45.6),
    ("DeepCoder-14B-Preview", 32768, 57.9),
    ("DeepCoder-14B-Preview", 65536, 60.6),
    ("DeepSeek-R1-Distill-Qwen-14B", 16384, 50.2),
    ("DeepSeek-R1-Distill-Qwen-14B", 32768, 53.0),
    ("DeepSeek-R1-Distill-Qwen-14B", 65536, 53.0),
)


_AIME: tuple[tuple[str, float], ...] = (
    ("DeepScaleR-1.5B-Preview", 43.1),
    ("DeepSeek-R1-Distill-Qwen-1.5B", 28.8),
    ("Still-1.5B", 32.5),
    ("O1-Preview", 40.0),
)


def reference_rows(kind: str) -> tuple[ReferenceRow, ...]:
    """The published numbers for a kind of benchmark."""
    if kind == "livecodebench":
        whole = tuple(ReferenceRow(model, kind, LIVECODEBENCH, score) for model, score, *_ in _CARD_ROWS)
        return whole + tuple(
            ReferenceRow(model, kind, LIVECODEBENCH, value, tokens=tokens, source=BLOG)
            for model, tokens, value in _BY_LENGTH
        )
    if kind == "codeforces":
        return tuple(
            ReferenceRow(model, kind, CODEFORCES, rating, percentile=percentile)
            for model, _, rating, percentile, _ in _CARD_ROWS
            if rating is not None
        )
    if kind == "aime":
        return tuple(ReferenceRow(model, kind, AIME, score, source=SCALER_CARD) for model, score in _AIME)
    if kind == "humaneval-plus":
        return tuple(
            ReferenceRow(model, kind, HUMAN_EVAL_PLUS, score) for model, *_, score in _CARD_ROWS if score is not None
        )
    return ()
