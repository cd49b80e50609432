"""What the benchmark of weight updates makes of what it has seen."""

from __future__ import annotations

from benchmarks.trainer.weights import Update, copy_rate, figures
from deepcoder_api.rollout import WeightReceipt


def receipt(pause: float, trainer_bytes: int = 50) -> WeightReceipt:
    return WeightReceipt(
        attempt=1, version=1, bytes=100, trainer_bytes=trainer_bytes, peer_bytes=100 - trainer_bytes,
        fetch_seconds=0.5, pause_seconds=pause,
    )  # fmt: skip


def test_rates_are_those_of_all_bytes_over_the_copys() -> None:
    """100 bytes in 2 s beside a copy of 1,000 bytes a second; medians over servers and versions."""
    updates = [Update(2.0, (receipt(0.2), receipt(0.4))), Update(2.0, (receipt(0.4), receipt(1.0)))]
    found = figures(100, updates, copied=1000.0)
    assert found["weight_update_over_memcpy"] == 0.05
    assert found["load_over_memcpy"] == 0.25
    assert found["fetch_over_memcpy"] == 0.2
    assert (found["pause_seconds"], found["pause_seconds_longest"]) == (0.4, 1.0)
    assert (found["trainer_bytes_per_byte"], found["updates"]) == (1.0, 2)


def test_a_copy_has_a_rate() -> None:
    """Of real bytes."""
    assert copy_rate(1 << 20) > 0
