"""Looking along rays chunk by chunk, as many at once as fit into memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")

#: rays below which halving a chunk is given up.
SMALLEST_CHUNK = 64


def in_chunks(work: Callable[[slice], T], count: int, chunk: int) -> list[T]:
    """What `work` says of each part of some rays, in order; a part that does not fit is halved.

    Args:
        work: looks along the rays of a part.
        count: rays in all; where there are none, `work` gets one empty part.
        chunk: most rays at once.

    Raises:
        torch.OutOfMemoryError: not even a few rays fit.
    """
    done: list[T] = []
    start, chunk = 0, max(1, min(chunk, count))
    while start < max(count, 1):
        try:
            done.append(work(slice(start, start + chunk)))
            start += chunk
        except torch.OutOfMemoryError:
            if chunk <= SMALLEST_CHUNK:
                raise
            chunk //= 2
    return done
