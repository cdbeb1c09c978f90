"""What an answer is made of, what it holds on to, and what counts as a question."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from decoder import Decoder
from numpy.typing import NDArray

from semantic_field_ros.config import Config, QueriesConfig, SemanticsConfig
from semantic_field_ros.geometry import look_at
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.models.base import (
    Calibration,
    DecodedMasks,
    Image,
    LanguageModel,
    Prompts,
)
from semantic_field_ros.queries.answering import Answering
from semantic_field_ros.queries.base import ClickQuery, Relation, TextQuery
from semantic_field_ros.semantics.base import FrozenMethod, Region
from semantic_field_ros.types import (
    FrameFeatures,
    PinholeCamera,
    PosedFrame,
    QueryAnswer,
    SurfaceCloud,
)


class Words(LanguageModel):
    """Three phrases at right angles."""

    dim = 3
    calibration = Calibration(negatives=("thing",), temperature=10.0, threshold=0.6)

    def encode_crops(self, images: Sequence[Image]) -> NDArray[np.float32]:
        raise NotImplementedError

    def encode_text(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        return np.eye(3, dtype=np.float32)[[("mug", "table", "thing").index(p) for p in phrases]]


class Known(FrozenMethod):
    """Regions of each phrase, best first."""

    def __init__(self, *regions: tuple[int, NDArray[np.int64], float]) -> None:
        self._regions = regions

    def text_regions(self, surface, phrase, negatives, calibration) -> list[Region]:
        return [
            Region(indices, np.ones(len(indices), np.float32), score)
            for word, indices, score in self._regions
            if phrase[word] == 1
        ]


class Drawing(Known):
    """Draws a region anew as all of the surface; counts how often."""

    drawn = 0

    def outlined(self, surface, region) -> Region:
        self.drawn += 1
        everything = np.arange(len(surface.points))
        return replace(
            region, indices=everything, point_scores=np.ones(len(everything), np.float32)
        )


class Desk:
    """A table with a mug on it, and a better mug on the floor."""

    def __init__(self) -> None:
        axis = np.arange(-0.5, 0.5, 0.02)
        x, y = (a.ravel() for a in np.meshgrid(axis, axis))
        top = np.stack([x, y, np.full_like(x, 0.7)], axis=1)
        small = np.abs(top[:, :2]).max(axis=1) < 0.05
        mug = np.concatenate([top[small] + [0, 0, z] for z in (0.02, 0.04, 0.06, 0.08, 0.1)])
        points = np.concatenate([mug + [3, 3, -0.7], mug, top]).astype(np.float32)
        spacing_m, rgb = np.full(len(points), 0.02, np.float32), np.zeros(points.shape, np.uint8)
        surface = SurfaceCloud(points, np.zeros_like(points), rgb, spacing_m, {}, 1)
        on_floor, self.on_table, table = np.split(np.arange(len(points)), [len(mug), 2 * len(mug)])
        known = Known((0, on_floor, 0.99), (0, self.on_table, 0.95), (1, table, 0.99))
        self._surface, self._known = surface, known
        self.snapshot = self.snapshot_of("maskfield")
        self.answering = self.answering_of(SemanticsConfig())

    def snapshot_of(self, *names: str) -> Any:
        methods = dict.fromkeys(names, self._known)
        return SimpleNamespace(
            surface=self._surface,
            methods=methods,
            map_version=1,
            stamp_ns=5,
            field=None,
            quadrature=None,
        )

    def answering_of(self, semantics: SemanticsConfig) -> Answering:
        config = Config(semantics=semantics)
        return Answering(config, Words(), None, ReplayMemory(6), {})  # type: ignore[arg-type]

    def ask(self, query: TextQuery) -> QueryAnswer:
        return self.answering.text(self.snapshot, query)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_keyframe_that_is_evicted_amid_a_question_is_decoded_all_the_same() -> None:
    camera, memory = PinholeCamera(8, 6, 7.0, 7.0, 3.5, 2.5), ReplayMemory(6)
    frame = PosedFrame(1, "camera", camera, np.eye(4), np.zeros((6, 8, 3), np.uint8))
    embedding, nothing = np.ones((2, 3, 3), np.float16), np.zeros((0, 4), np.float16)
    looked_at, _ = memory.add(frame), memory.add(frame)
    assert memory.set_features(looked_at.keyframe_id, FrameFeatures(embedding, (), nothing))
    answering = Answering(Config(), None, None, memory, {})  # type: ignore[arg-type]
    (view,) = answering._sight(None, refine=False).views  # type: ignore[arg-type]
    memory.clear()
    np.testing.assert_array_equal(view.embedding(), embedding)
    assert view.depth_m() is None and view.ignored() is None


def test_what_is_refined_is_what_stands_in_the_relation(desk: Desk) -> None:
    """The best mug stands on the floor, the other one on the table."""
    query = TextQuery("mug", relations=(Relation("on", "table"),), max_results=1)
    for refine in (False, True):
        answer = desk.ask(replace(query, refine=refine))
        assert answer.found
        assert [mask.indices[0] for mask in answer.masks] == [desk.on_table[0]]


def test_without_a_reference_behind_is_as_seen_from_the_keyframe_that_came_last(
    desk: Desk,
) -> None:
    """The mug on the floor is before the table for the first one; then time jumps back."""
    memory, table = ReplayMemory(6), np.array([0.0, 0.0, 0.7])
    camera, rgb = PinholeCamera(8, 6, 7.0, 7.0, 3.5, 2.5), np.zeros((6, 8, 3), np.uint8)
    answering = Answering(Config(), Words(), None, memory, {})  # type: ignore[arg-type]
    query = TextQuery("mug", relations=(Relation("behind", "table"),))
    for stamp_ns, side, found in ((900, 8.0, False), (5, -8.0, True)):
        pose = look_at(np.array([side, side, 1.0]), table)
        memory.add(PosedFrame(stamp_ns, "camera", camera, pose, rgb))
        assert answering.text(desk.snapshot, query).found == found


class Everything(Decoder):
    """Takes all that is in the picture for one thing."""

    def decode(
        self,
        embedding: NDArray[np.floating],
        image_size: tuple[int, int],
        prompts: Sequence[Prompts],
    ) -> list[DecodedMasks]:
        return [DecodedMasks(np.full((1, *image_size), 20.0, np.float32), np.ones(1, np.float32))]


def test_what_is_refined_stays_in_the_region_that_was_asked_for(desk: Desk) -> None:
    memory, camera = ReplayMemory(6), PinholeCamera(64, 48, 40.0, 40.0, 31.5, 23.5)
    above = look_at(np.array([0.0, -0.3, 1.9]), np.array([0.0, 0.0, 0.7]))
    added = memory.add(PosedFrame(1, "camera", camera, above, np.zeros((48, 64, 3), np.uint8)))
    nothing = np.zeros((0, 4), np.float16)
    memory.set_features(
        added.keyframe_id, FrameFeatures(np.ones((1, 1, 1), np.float16), (), nothing)
    )
    config = Config(queries=QueriesConfig(refine_with="votes"))
    answering = Answering(config, Words(), Everything(), memory, {})
    left = TextQuery("table", region_m=(np.array([-1.0, -1, 0]), np.array([0.01, 1, 2])))
    reach_m = [
        answering.text(desk.snapshot, replace(left, region_m=region_m, refine=refine))
        .masks[0]
        .points[:, 0]
        .max()
        for region_m in (left.region_m, None)
        for refine in (False, True)
    ]
    # The region of the table that is drawn anew reaches over all of it, to the edge at 0.48 m.
    np.testing.assert_allclose(reach_m, [0.0, 0.0, 0.48, 0.48], atol=1e-6)


def test_only_what_is_answered_is_outlined_and_stays_in_the_region_asked_for(desk: Desk) -> None:
    mugs = (0, np.arange(100), 0.99), (0, np.arange(100, 200), 0.95), (1, np.arange(9), 0.99)
    method = desk.snapshot.methods["maskfield"] = Drawing(*mugs)
    left = (np.array([-1.0, -1, 0]), np.array([0.01, 1, 2]))
    (mask,) = desk.ask(TextQuery("mug", region_m=left, max_results=1)).masks
    assert method.drawn == 1
    np.testing.assert_allclose(mask.points[:, 0].max(), 0.0, atol=1e-6)


def test_one_question_is_one_whatever_else_must_be_found_for_it(desk: Desk) -> None:
    relations = (Relation("on", "table"), Relation("near", "table"))
    assert desk.ask(TextQuery("mug", relations=relations)).found
    camera = PinholeCamera(8, 6, 7.0, 7.0, 3.5, 2.5)
    away = look_at(np.array([0.0, -9.0, 0.0]), np.array([0.0, -10.0, 0.0]))
    shown = desk.answering.segment_view(desk.snapshot, camera, away, TextQuery("mug"))
    assert shown.reason == "'mug' is there, but not in this view"
    assert desk.answering.status()["asked"] == 2


def test_an_anchor_that_is_empty_is_not_found(desk: Desk) -> None:
    answer = desk.ask(TextQuery("mug", relations=(Relation("on", " "),)))
    assert answer.reason == "'mug' is there, but the text is empty"


def test_what_cannot_be_retuned_changes_nothing(desk: Desk) -> None:
    with pytest.raises(ValueError, match="'magic'"):
        desk.answering.retune(QueriesConfig(refine_with="magic", min_points=10_000), None)
    assert desk.ask(TextQuery("mug")).found


def test_the_best_of_the_methods_that_know_words_answers(desk: Desk) -> None:
    for methods in (("sam_features", "lerf"), ("ovnerf", "lerf")):
        only = desk.answering_of(SemanticsConfig(methods=methods))
        answer = only.text(desk.snapshot_of("lerf"), TextQuery("mug"))
        assert answer.found
    chosen = desk.answering_of(SemanticsConfig(methods=("lerf", "ovnerf"), text_method="ovnerf"))
    assert chosen.text(desk.snapshot_of("ovnerf"), TextQuery("mug")).found


@pytest.mark.parametrize("methods", [(), ("sam_features",)])
def test_without_a_method_that_knows_words_clicks_are_answered(desk: Desk, methods) -> None:
    answering, snapshot = desk.answering_of(SemanticsConfig(methods=methods)), desk.snapshot_of()
    must_hold = "semantics.methods must hold 'maskfield', 'lerf' or 'ovnerf'"
    for answer in (
        answering.text(snapshot, TextQuery("mug")),
        answering.instances(snapshot, ["mug"]),
    ):
        assert not answer.found and answer.reason.startswith(must_hold)
    with pytest.raises(ValueError, match=must_hold):
        answering.words.classify(snapshot, ["mug", "table"])
    with pytest.raises(ValueError, match=must_hold):
        answering.words.relevancy(snapshot, "mug")
    clicked = answering.click(snapshot, ClickQuery(desk.snapshot.surface.points[:1]))
    assert clicked.reason == "no view sees the click well enough (0 have features)"


@pytest.mark.parametrize("name", ["maskfield", "dream"])
def test_a_text_method_that_is_not_trained_is_refused_at_once(desk: Desk, name: str) -> None:
    expected = rf"text_method must be among semantics.methods \['lerf'\], or empty, got '{name}'"
    with pytest.raises(ValueError, match=expected):
        desk.answering_of(SemanticsConfig(methods=("lerf",), text_method=name))


def test_a_method_that_does_not_exist_is_refused_at_once(desk: Desk) -> None:
    known = r"\['lerf', 'maskfield', 'ovnerf', 'sam_features'\]"
    with pytest.raises(ValueError, match=rf"methods must be among {known}, got 'nerf'"):
        desk.answering_of(SemanticsConfig(methods=("lerf", "nerf")))
