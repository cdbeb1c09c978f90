"""From the config and the 2D models to what the threads run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from semantic_field_ros.config import Config, GridConfig, from_dict, to_dict
from semantic_field_ros.field.bounds import SceneBounds, fix_bounds
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.models.base import LanguageModel, Segmenter
from semantic_field_ros.models.pyramid import PyramidBuilder
from semantic_field_ros.models.registry import load_dense_model, same_model
from semantic_field_ros.semantics.base import MethodSetup
from semantic_field_ros.semantics.registry import build_methods, check_methods, needs_pyramid
from semantic_field_ros.training.checkpoint import SavedMap, without_prefix
from semantic_field_ros.training.image_models import ImageModels
from semantic_field_ros.training.mapper import Mapper
from semantic_field_ros.training.saved_map import saved_keyframes


class MapBuilder:
    """Makes maps that start from nothing.

    Args:
        config: the whole tree.
        language, segmenter: the 2D models; a dense one is loaded if the config names it.
        memory: where keyframes are.

    Raises:
        ValueError: methods that cannot be made; here, not in the training thread.
    """

    def __init__(
        self, config: Config, language: LanguageModel, segmenter: Segmenter, memory: ReplayMemory
    ) -> None:
        check_methods(config.semantics)
        self._config, self._memory = config, memory
        self._language, self._segmenter = language, segmenter
        self._dense = load_dense_model(config.models.dense) if config.models.dense else None

    def image_models(self) -> ImageModels:
        """The 2D models, with as much of them as the semantic methods ask for."""
        semantics = self._config.semantics
        tiled = needs_pyramid(semantics)
        return ImageModels(
            self._language,
            self._segmenter,
            semantics.sam_features.pyramid,
            PyramidBuilder(self._language, semantics.pyramid) if tiled else None,
            self._dense if tiled else None,
        )

    def first(self) -> Mapper | None:
        """A map whose bounds are fixed from what the memory holds; None if that is too little."""
        scene, views = self._config.scene, self._memory.views()
        enough = len(views) >= scene.keyframes_to_fix_box or self._memory.full
        if scene.box_m is None and not enough:
            return None
        keyframes = [self._memory.get(view.keyframe_id) for view in views]
        return self.within(fix_bounds(scene, [k.frame for k in keyframes if k is not None]))

    def within(self, bounds: SceneBounds) -> Mapper:
        """A map of known bounds."""
        config = self._config
        setup = MethodSetup(
            bounds.unit_from_world,
            config.field.backend,
            config.surface.voxel_m,
            self._segmenter.layout,
            self._language.dim,
            config.training.seed,
            self._dense.dim if self._dense else 0,
            self._language.encode_text,
            self._segmenter.pyramid_layouts,
        )
        return Mapper(config, bounds, self._memory, build_methods(config.semantics, setup))

    def restored(self, saved: SavedMap) -> tuple[Mapper, ReplayMemory]:
        """A map as it was saved, and its keyframes, which the memory is to take over.

        Raises:
            ValueError: it is damaged, or does not fit the configuration.
        """
        try:
            return self._restored(saved)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the map is damaged: {error!r}") from error

    def _restored(self, saved: SavedMap) -> tuple[Mapper, ReplayMemory]:
        meta = saved.meta
        self._check_same(meta)
        keyframe_ids = [int(record["id"]) for record in meta["keyframes"]]
        self._memory.check_fits(keyframe_ids)
        if not (meta["map_version"] >= 0 and all(s > 0 for s in meta["image_scales"].values())):
            raise ValueError(
                "the map is damaged: its version or a scale of its images makes no sense"
            )
        mapper = self.within(SceneBounds(tuple(meta["box_m"])))
        mapper.load_state(without_prefix("map", saved.tensors))
        mapper.keep_only(keyframe_ids)
        keyframes = self._memory.empty()
        for added in keyframes.restore(saved_keyframes(saved)):
            mapper.add_keyframe(added.keyframe_id, added.slot)
        return mapper, keyframes

    def _check_same(self, meta: Mapping[str, Any]) -> None:
        """Raises ValueError where a map was made otherwise than this configuration says.

        Of what is not looked at here nothing must be the same.
        """
        config, tree = self._config, meta["config"]
        methods = list(config.semantics.methods)
        if meta.get("methods") != methods:
            raise ValueError(f"map must hold semantics.methods {methods}, got {meta['methods']}")
        theirs = _grids(tree, methods)
        for name, grid in _grids(to_dict(config), methods).items():
            if theirs.get(name) != grid:
                raise ValueError(f"map must have {name} {grid}, got {theirs.get(name)}")
        for kind in ("language", "segmenter", "dense"):
            ours, theirs = getattr(config.models, kind), tree["models"][kind]
            if not same_model(ours, theirs):
                raise ValueError(
                    f"models.{kind} must be {theirs!r}, with which the map was learnt, "
                    f"got {ours!r}"
                )


def _grids(tree: Mapping[str, Any], methods: Sequence[str]) -> dict[str, GridConfig]:
    """The hash grids that a map of this config tree is made of, by their options' names.

    Grids of different cells can have as many entries, so that their tables fit each other.
    """
    parts = {"field": tree["field"], **{f"semantics.{m}": tree["semantics"][m] for m in methods}}
    return {
        f"{name}.grid": from_dict(part["grid"], GridConfig)
        for name, part in parts.items()
        if "grid" in part
    }
