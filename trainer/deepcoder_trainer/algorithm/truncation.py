"""The overlong filter: what an answer cut at the response limit does to the loss. No torch here."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def carries_loss(truncated: ArrayLike, overlong_filter: bool) -> NDArray[np.bool_]:
    """Whether each sample's tokens carry loss: [samples] from [samples] of "finish reason is length".

    A truncated answer keeps its real grade, which counts in its group's mean and std; with the filter its own tokens
    carry no loss, for or against. Source: DAPO's overlong filtering, as DeepCoder's report states it.
    """
    cut = np.asarray(truncated, dtype=np.bool_)
    return ~cut if overlong_filter else np.ones_like(cut)
