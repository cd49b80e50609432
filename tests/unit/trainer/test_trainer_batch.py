"""The batch file that every rank reads, and its cut into optimizer batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from deepcoder_trainer.batch import BatchError, batch_of, optimizer_batches, read_batch, write_batch
from deepcoder_trainer.samples import Sample
from tests.unit.trainer.sample_builders import random_samples, sample

ARRAYS = (
    "tokens", "offsets", "prompt_lengths", "sampler_log_probabilities", "advantages", "rewards", "carries_loss",
    "groups",
)  # fmt: skip


def write(samples: list[Sample], path: Path, overlong_filter: bool = True) -> None:
    write_batch(samples, path, step=7, temperature=0.6, overlong_filter=overlong_filter)


def test_a_batch_by_hand(tmp_path: Path) -> None:
    """Two samples, flattened: prompt then answer, and of the answers alone the sampler's log-probabilities."""
    samples = [
        sample(prompt_ids=[1, 2], answer_ids=[3], log_probabilities=[-0.5], advantage=0.5),
        sample(
            prompt_ids=[4], answer_ids=[5, 6], log_probabilities=[-1.0, -2.0], reward=0.0, group=1,
            finish_reason="length", advantage=-0.5,
        ),
    ]  # fmt: skip
    write(samples, tmp_path / "batch")
    batch = read_batch(tmp_path / "batch")
    assert (batch.step, batch.temperature, len(batch)) == (7, 0.6, 2)
    assert batch.tokens.tolist() == [1, 2, 3, 4, 5, 6]
    assert batch.offsets.tolist() == [0, 3, 6]
    assert batch.lengths.tolist() == [3, 3]
    assert batch.answer_lengths.tolist() == [1, 2]
    assert batch.answer_offsets.tolist() == [0, 1, 3]
    assert batch.sampler_log_probabilities.tolist() == [-0.5, -1.0, -2.0]
    assert batch.advantages.tolist() == [0.5, -0.5]
    assert batch.rewards.tolist() == [1.0, 0.0]
    assert batch.carries_loss.tolist() == [True, False]
    assert batch.groups.tolist() == [0, 1]


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    """Every array comes back bit by bit and in its type; nothing else is left in the folder."""
    samples = random_samples(3)
    write(samples, tmp_path / "batch")
    batch, written = read_batch(tmp_path / "batch"), batch_of(samples, step=7, temperature=0.6, overlong_filter=True)
    for name in ARRAYS:
        found, expected = getattr(batch, name), getattr(written, name)
        assert found.dtype == expected.dtype, name
        assert np.array_equal(found, expected), name
    assert [path.name for path in tmp_path.iterdir()] == ["batch"]


def test_without_the_filter_truncated_samples_carry_loss(tmp_path: Path) -> None:
    """The filter is the algorithm's to choose."""
    write([sample(finish_reason="length")], tmp_path / "batch", overlong_filter=False)
    assert read_batch(tmp_path / "batch").carries_loss.tolist() == [True]


def test_a_batch_of_nothing_is_refused(tmp_path: Path) -> None:
    """There is nothing to train on, and no file is left."""
    with pytest.raises(BatchError, match="step 7"):
        write([], tmp_path / "batch")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("advantages", lambda values: values[:-1], "offsets, and"),
        ("offsets", lambda values: values + 1, "do not cut"),
        ("prompt_lengths", lambda values: values + 1000, "do not cut"),
        ("sampler_log_probabilities", lambda values: values[:-1], "log-probabilities for"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(tmp_path: Path, name: str, change, said: str) -> None:
    """Each rank checks what it read before it trains on it."""
    path = tmp_path / "batch"
    write(random_samples(1), path)
    arrays = load_file(path)
    metadata = {"format": "deepcoder-batch-1", "step": "7", "temperature": "0.6"}
    save_file(arrays | {name: np.ascontiguousarray(change(arrays[name]))}, path, metadata=metadata)
    with pytest.raises(BatchError, match=said):
        read_batch(path)


def test_other_files_are_no_batch(tmp_path: Path) -> None:
    """Not safetensors, safetensors of something else, a batch with a part too few: each says what it is."""
    (tmp_path / "text").write_bytes(b"no safetensors at all")
    save_file({"a": np.zeros(1)}, tmp_path / "model")
    save_file({"tokens": np.zeros(1)}, tmp_path / "part", metadata={"format": "deepcoder-batch-1"})
    for name, said in (("text", "not a safetensors file"), ("model", "format is None"), ("part", r"holds \['tokens'")):
        with pytest.raises(BatchError, match=said):
            read_batch(tmp_path / name)


@given(st.integers(1, 20), st.integers(1, 4), st.integers(1, 8))
def test_optimizer_batches_are_whole_groups_in_order_of_near_equal_number(groups: int, each: int, steps: int) -> None:
    """Every sample once; a group is never cut; parts differ by one group at most, and the first come first."""
    numbers = [7 * group % 20 for group in range(groups)]  # groups need not be numbered in order
    batch = batch_of(
        [sample(group=number) for number in numbers for _ in range(each)], step=1, temperature=1.0, overlong_filter=True
    )
    parts = optimizer_batches(batch, steps)
    assert np.concatenate(parts).tolist() == list(range(groups * each))
    sizes = [len(part) // each for part in parts]
    assert len(parts) == steps
    assert all(len(part) % each == 0 for part in parts)
    assert max(sizes) - min(sizes) <= 1
