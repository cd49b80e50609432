"""What is made of peaks by length."""

from __future__ import annotations

import pytest

from benchmarks.trainer.memory import figures

LENGTHS = (4096, 8192, 16_384, 32_768)


@pytest.mark.parametrize("exponent", [1, 2])
def test_the_slope_is_the_exponent_whatever_is_constant(exponent: int) -> None:
    """A linear and a quadratic peak, on top of 500 MiB that do not depend on the length."""
    peaks = {tokens: 500 + 1e-6 * tokens**exponent for tokens in LENGTHS}
    assert figures(peaks, words=1000)["peak_memory_slope"] == pytest.approx(exponent, abs=0.001)


def test_a_vocabulary_wide_spike_is_seen() -> None:
    """32,768 words in fp32 are 128 KiB a token: whole logits come to a share of 1, though they are linear."""
    found = figures({tokens: 500 + tokens / 8 for tokens in LENGTHS}, words=32_768)
    assert found == {"peak_memory_slope": 1.0, "bytes_per_token": 131_072, "logits_share": 1.0}


def test_peaks_that_do_not_rise_are_no_measurement() -> None:
    """Noise has no slope."""
    with pytest.raises(ValueError, match="took no more memory"):
        figures({4096: 10.0, 8192: 12.0, 16_384: 12.0}, words=1000)
