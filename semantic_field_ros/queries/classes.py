"""The surface segmented into a given list of classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def best_classes(
    scores: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The class of each point and how sure it is.

    Args:
        scores: (N, C) >= 0, from `FrozenMethod.class_scores`.

    Returns:
        (N,) i64 the class with the highest score, -1 for a row of zeros, and (N,) f32 its share
        of the row's sum, 0 for a row of zeros.
    """
    highest, total = scores.max(axis=1), scores.sum(axis=1)
    known = highest > 0
    class_of_point = np.where(known, scores.argmax(axis=1), -1).astype(np.int64)
    share = np.divide(highest, total, out=np.zeros_like(highest), where=known)
    return class_of_point, share
