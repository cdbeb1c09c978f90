"""From a name in the configuration to a model.

A name is `tiny` (bundled), `ARCHITECTURE:CHECKPOINT` (Segment Anything's `vit_b`, `vit_l`, `vit_h`
with a file; any open_clip architecture with a file or a pretrained tag), or a plug-in
`package.module:ClassName`, called without arguments.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection
from pathlib import Path
from typing import TypeVar

from semantic_field_ros.models.base import DenseModel, LanguageModel, Segmenter

M = TypeVar("M", DenseModel, LanguageModel, Segmenter)

SEGMENT_ANYTHING = ("vit_b", "vit_l", "vit_h")


def load_language_model(spec: str) -> LanguageModel:
    """The language model of a name such as "tiny" or "ViT-B-16:laion2b_s34b_b88k".

    Raises:
        ValueError: unknown name, architecture, checkpoint or plug-in.
        TypeError: the plug-in is no `LanguageModel`.
    """
    if spec == "tiny":
        from semantic_field_ros.models.tiny.load import load_tiny_clip

        return load_tiny_clip()
    name, rest = _split(spec, "language model", "an open_clip ARCHITECTURE:CHECKPOINT")
    from semantic_field_ros.models.openclip import ARCHITECTURES, load_open_clip

    if _is_plugin(name, rest, ARCHITECTURES):
        return _plugin(name, rest, LanguageModel)  # type: ignore[type-abstract]
    return load_open_clip(name, rest)


def load_segmenter(spec: str) -> Segmenter:
    """The segmenter of a name such as "tiny" or "vit_b:/models/sam_vit_b_01ec64.pth".

    Raises:
        ValueError: unknown name, architecture, checkpoint or plug-in.
        TypeError: the plug-in is no `Segmenter`.
    """
    if spec == "tiny":
        from semantic_field_ros.models.tiny.load import load_tiny_sam

        return load_tiny_sam()
    name, rest = _split(spec, "segmenter", f"{' | '.join(SEGMENT_ANYTHING)} with :CHECKPOINT")
    if _is_plugin(name, rest, SEGMENT_ANYTHING):
        return _plugin(name, rest, Segmenter)  # type: ignore[type-abstract]
    from semantic_field_ros.models.segment_anything import load_segment_anything

    return load_segment_anything(name, Path(rest).expanduser())


def load_dense_model(spec: str) -> DenseModel:
    """The dense model of a plug-in; none is bundled.

    Raises:
        ValueError: not the name of a plug-in, or one that cannot be loaded.
        TypeError: the plug-in is no `DenseModel`.
    """
    name, _, rest = spec.partition(":")
    if not _is_plugin(name, rest):
        raise ValueError(f"dense model must be package.module:ClassName, got {spec!r}")
    return _plugin(name, rest, DenseModel)  # type: ignore[type-abstract]


def same_model(spec: str, other: str) -> bool:
    """Whether two names mean one model; the file of a checkpoint may lie in another folder."""
    (name, _, rest), (other_name, _, other_rest) = spec.partition(":"), other.partition(":")
    return (name, Path(rest).name) == (other_name, Path(other_rest).name)


def _split(spec: str, what: str, known: str) -> tuple[str, str]:
    name, _, rest = spec.partition(":")
    if not name or not rest:
        raise ValueError(
            f"{what} must be tiny, {known}, or package.module:ClassName, got {spec!r}"
        )
    return name, rest


def _is_plugin(name: str, rest: str, architectures: Collection[str] = ()) -> bool:
    """A dotted module and a class; the name of an architecture may look like a module."""
    module = name not in architectures and all(part.isidentifier() for part in name.split("."))
    return module and rest.isidentifier()


def _plugin(module: str, class_name: str, contract: type[M]) -> M:
    try:
        found = getattr(importlib.import_module(module), class_name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"cannot load plug-in {module}:{class_name}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, contract)):
        raise TypeError(
            f"plug-in {module}:{class_name} must be a {contract.__name__}, got {found!r}"
        )
    return found()
