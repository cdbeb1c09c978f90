"""What a builder of the world's things returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from semantic_field_ros.stream.synthetic.mesh import Mesh

Rng = np.random.Generator


@dataclass(frozen=True)
class Support:
    """A level rectangle of a shape on which others can stand.

    Attributes:
        centre: (x, y, z) metres in the shape's frame.
        half: half extents along the shape's x and y, metres.
        clearance: free height above it, metres.
    """

    centre: tuple[float, float, float]
    half: tuple[float, float]
    clearance: float = 1.0


@dataclass(frozen=True)
class Shape:
    """A mesh in its own frame and how it can be placed.

    Attributes:
        mesh: stands on z = 0.
        supports: where others can stand on it.
        falls: whether it may lie on its side.
    """

    mesh: Mesh
    supports: tuple[Support, ...] = ()
    falls: bool = False


Builder = Callable[[Rng], Shape]
"""Makes one random example of a category; it stands on z = 0, its front towards -y."""
