"""Clicks are decoded in the views that see them, and the views vote."""

from collections.abc import Sequence

import numpy as np
import pytest
from decoder import Decoder
from numpy.typing import NDArray

from semantic_field_ros.geometry import pixel_grid, project, unproject
from semantic_field_ros.models.base import DecodedMasks, Prompts
from semantic_field_ros.queries.click import agree, click_scores, clicked_part, raw_scores
from semantic_field_ros.queries.decoding import ClickView, WorldPrompts, decode_click, settle_box
from semantic_field_ros.queries.visibility import visible_points
from semantic_field_ros.semantics.base import MEMBER, Region
from semantic_field_ros.stream.synthetic import World, make_world
from semantic_field_ros.types import PinholeCamera

CAMERA = PinholeCamera(160, 120, 140.0, 140.0, 79.5, 59.5)


class LabelledScene:
    """A small table seen from all sides, with the true instance of every surface point."""

    def __init__(self) -> None:
        self.world: World = make_world("table", 1005)
        self.poses = self.world.camera_path(10)
        pixel = pixel_grid(CAMERA.width, CAMERA.height)
        points, labels, self.images = [], [], []
        for pose in self.poses:
            view = self.world.render(CAMERA, pose)
            depth_m, instance = view.depth_m.ravel(), view.instance.ravel()
            known = np.isfinite(depth_m)
            points.append(unproject(CAMERA, pose, pixel[known], depth_m[known]))
            labels.append(instance[known])
            self.images.append(view.instance)
        self.points = np.concatenate(points)[::3]
        self.labels = np.concatenate(labels)[::3]

    def views(self) -> list[ClickView]:
        return [
            ClickView(i, CAMERA, pose, lambda image=image: image[None].astype(np.float32))
            for i, (pose, image) in enumerate(zip(self.poses, self.images, strict=True))
        ]

    def middle_of(self, label: int) -> NDArray[np.float32]:
        """A surface point of the object near its median."""
        own = self.points[self.labels == label]
        return own[np.argmin(np.linalg.norm(own - np.median(own, axis=0), axis=1))]


class InstanceSegmenter(Decoder):
    """Decodes the true instance under a click, beside a mask of everything.

    Args:
        misled_every: in one of this many views "everything" claims the higher score; 0 = never.
    """

    def __init__(self, misled_every: int = 0) -> None:
        self.misled_every = misled_every
        self.decoded = 0

    def decode(
        self,
        embedding: NDArray[np.floating],
        image_size: tuple[int, int],
        prompts: Sequence[Prompts],
    ) -> list[DecodedMasks]:
        self.decoded += 1
        instance = embedding[0]
        if len(prompts[0].points_px) == 0:
            return [self._boxed(instance, prompts[0].box_px)]
        (u, v), *_ = np.rint(prompts[0].points_px[prompts[0].positive]).astype(int)
        object_ = np.where(instance == instance[v, u], 8.0, -8.0)
        everything = np.full_like(object_, 8.0)
        misled = self.misled_every and self.decoded % self.misled_every == 0
        scores = np.array([0.8, 0.9 if misled else 0.1], np.float32)
        return [DecodedMasks(np.stack([object_, everything]).astype(np.float32), scores)]

    @staticmethod
    def _boxed(instance: NDArray[np.floating], box_px: NDArray[np.floating]) -> DecodedMasks:
        """The instance that fills most of the box."""
        left, top, right, bottom = np.rint(box_px).astype(int)
        ids, counts = np.unique(instance[top : bottom + 1, left : right + 1], return_counts=True)
        logits = np.where(instance == ids[counts.argmax()], 8.0, -8.0).astype(np.float32)
        return DecodedMasks(logits[None], np.array([0.9], np.float32))


@pytest.fixture(scope="module")
def scene() -> LabelledScene:
    return LabelledScene()


def largest_objects(scene: LabelledScene, count: int) -> list[int]:
    named = [thing.id for thing in scene.world.objects if thing.is_object]
    return sorted(named, key=lambda i: -int((scene.labels == i).sum()))[:count]


def click(scene: LabelledScene, label: int) -> WorldPrompts:
    return WorldPrompts(scene.middle_of(label)[None], np.array([True]))


@pytest.mark.parametrize("misled_every", [0, 3])
def test_every_object_is_found_by_one_click(scene: LabelledScene, misled_every: int) -> None:
    for label in largest_objects(scene, 6):
        prompts = click(scene, label)
        scores = click_scores(
            scene.points, prompts, scene.views(), InstanceSegmenter(misled_every), 5
        )
        members = np.flatnonzero(scores > MEMBER)
        found = clicked_part(scene.points, members, prompts, np.full(len(scene.points), 0.02))
        truth = np.flatnonzero(scene.labels == label)
        shared = len(np.intersect1d(found, truth))
        iou = shared / (len(found) + len(truth) - shared)
        assert iou > 0.9, f"{label}: {iou:.2f}"


def test_raw_masks_vote_and_need_not_agree(scene: LabelledScene) -> None:
    label = largest_objects(scene, 1)[0]
    prompts, points = click(scene, label), scene.points
    # The third view prefers its mask of everything, but has the right one too.
    decoded = decode_click(points, prompts, scene.views(), InstanceSegmenter(misled_every=3), 3)
    seen = np.intersect1d(decoded[0].candidates.seen, decoded[2].candidates.seen)
    beside = seen[scene.labels[seen] != label]
    assert len(beside) > 100
    assert np.median(agree(points, prompts, decoded).scores[beside]) < 0.01
    assert np.median(raw_scores(points, decoded)[beside]) > 0.2
    assert raw_scores(points, []).max() == 0


def test_only_as_many_views_are_decoded_as_asked_for(scene: LabelledScene) -> None:
    segmenter = InstanceSegmenter()
    label = largest_objects(scene, 1)[0]
    click_scores(scene.points, click(scene, label), scene.views(), segmenter, 3)
    assert segmenter.decoded == 3


def test_a_click_that_no_view_sees_scores_nothing(scene: LabelledScene) -> None:
    behind = WorldPrompts(np.array([[0.0, 0.0, -50.0]], np.float32), np.array([True]))
    scores = click_scores(scene.points, behind, scene.views(), InstanceSegmenter(), 5)
    assert scores.max() == 0
    nothing = np.flatnonzero(scores > MEMBER)
    assert len(clicked_part(scene.points, nothing, behind, np.full(len(scene.points), 0.02))) == 0


def test_a_view_that_sees_little_of_what_was_clicked_is_left_out(scene: LabelledScene) -> None:
    middle = scene.middle_of(largest_objects(scene, 1)[0])
    in_the_table = middle - np.array([0.0, 0.0, 0.3], np.float32)
    for hidden, decoded in ((3, 5), (4, 0)):  # one of four is enough, one of five is not
        points = np.stack([middle, *[in_the_table] * hidden])
        prompts = WorldPrompts(points, np.ones(hidden + 1, np.bool_))
        segmenter = InstanceSegmenter()
        assert len(decode_click(scene.points, prompts, scene.views(), segmenter, 5)) == decoded


def test_only_the_piece_that_was_clicked_is_kept() -> None:
    line = np.stack([np.linspace(0, 1, 101), np.zeros(101), np.zeros(101)], 1).astype(np.float32)
    members = np.concatenate([np.arange(40), np.arange(60, 101)])
    prompts = WorldPrompts(line[[10]], np.array([True]))
    assert clicked_part(line, members, prompts, np.full(101, 0.02)).tolist() == [*range(40)]


def test_what_is_behind_something_is_hidden() -> None:
    near = unproject(CAMERA, np.eye(4), pixel_grid(160, 120), np.full(160 * 120, 1.0))
    far = unproject(CAMERA, np.eye(4), pixel_grid(160, 120)[:500], np.full(500, 1.5))
    seen, pixel = visible_points(np.concatenate([near, far]), CAMERA, np.eye(4))
    np.testing.assert_array_equal(seen, np.arange(160 * 120))
    np.testing.assert_allclose(pixel, project(CAMERA, np.eye(4), near)[0], atol=1e-3)


def test_the_clicked_view_is_asked_with_the_pixel_itself(scene: LabelledScene) -> None:
    """However badly the click was lifted, here to a neighbour."""
    label, neighbour = largest_objects(scene, 2)
    image = scene.images[0]
    v, u = np.argwhere(image == label)[np.count_nonzero(image == label) // 2]
    prompts = WorldPrompts(
        scene.middle_of(neighbour)[None], np.array([True]), 0, np.array([[u, v]], np.float32)
    )
    scores = click_scores(scene.points, prompts, scene.views(), InstanceSegmenter(), 1)
    assert scores[scene.labels == label].mean() > 0.5 > scores[scene.labels == neighbour].max()


def test_a_thing_of_the_map_that_holds_the_click_has_a_vote(scene: LabelledScene) -> None:
    """Every view is misled, the map knows better; a thing elsewhere says nothing."""
    label, other = largest_objects(scene, 2)
    prompts = click(scene, label)
    things = [
        Region(own, np.ones(len(own), np.float32), 0.9, None)
        for own in (np.flatnonzero(scene.labels == i) for i in (label, other))
    ]
    misled = InstanceSegmenter(misled_every=1)
    alone = click_scores(scene.points, prompts, scene.views(), misled, 5)
    told = click_scores(scene.points, prompts, scene.views(), misled, 5, things)
    assert (alone[scene.labels == other] > 0.5).mean() > 0.5
    assert (told[scene.labels == other] > 0.5).mean() < 0.1
    assert (told[scene.labels == label] > 0.5).mean() > 0.9


def test_views_do_not_follow_a_map_that_takes_a_thing_for_a_part_of_another(
    scene: LabelledScene,
) -> None:
    """A ring that lies on a bed, say; what was clicked is the smaller of the two."""
    larger, label = largest_objects(scene, 2)
    both = np.flatnonzero(np.isin(scene.labels, (label, larger)))
    merged = Region(both, np.ones(len(both), np.float32), 0.9, None)
    prompts = click(scene, label)
    scores = click_scores(scene.points, prompts, scene.views(), InstanceSegmenter(), 5, [merged])
    assert (scores[scene.labels == label] > MEMBER).mean() > 0.9
    assert (scores[scene.labels == larger] > MEMBER).mean() < 0.1


def test_a_thing_of_the_map_that_holds_a_negative_point_has_none(scene: LabelledScene) -> None:
    """The map has made one thing of two; whoever says so is believed."""
    label, other = largest_objects(scene, 2)
    both = np.flatnonzero(np.isin(scene.labels, (label, other)))
    merged = Region(both, np.ones(len(both), np.float32), 0.9, None)
    points = np.stack([scene.middle_of(label), scene.middle_of(other)])
    prompts = WorldPrompts(points, np.array([True, False]))
    scores = click_scores(scene.points, prompts, scene.views(), InstanceSegmenter(), 5, [merged])
    assert (scores[scene.labels == label] > 0.5).mean() > 0.9
    assert (scores[scene.labels == other] > 0.5).mean() < 0.1


def test_points_of_a_box_that_lie_beside_what_it_means_are_left_out(
    scene: LabelledScene,
) -> None:
    """A box around an object has background in its corners."""
    label = largest_objects(scene, 1)[0]
    image = scene.images[0]
    rows, columns = np.nonzero(image == label)
    box_px = np.array([columns.min(), rows.min(), columns.max(), rows.max()], np.float32)
    beside = np.argwhere(image != label)[0][::-1]
    inside = np.array([columns[len(columns) // 2], rows[len(rows) // 2]])
    # Two clicks, which are meant wherever they are, and two points that stand for the box.
    pixels = np.array([beside, beside, inside, beside], np.float32)
    positive = np.array([True, False, True, True])
    prompts = WorldPrompts(np.zeros((4, 3), np.float32), positive, 0, pixels, box_px, boxed=2)
    settled = settle_box(prompts, scene.views(), InstanceSegmenter())
    np.testing.assert_array_equal(settled.pixels, pixels[:3])
    assert settled.positive.tolist() == [True, False, True] and len(settled.points) == 3


def test_a_click_without_a_box_stays_as_it_is(scene: LabelledScene) -> None:
    prompts = click(scene, largest_objects(scene, 1)[0])
    segmenter = InstanceSegmenter()
    assert settle_box(prompts, scene.views(), segmenter) is prompts and segmenter.decoded == 0
