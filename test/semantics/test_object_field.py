"""The object field turns noisy masks of several views into one consistent answer."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from semantic_field_ros.config import FieldConfig, GridConfig, ObjectFieldConfig
from semantic_field_ros.field.bounds import SceneBounds
from semantic_field_ros.field.scene import SceneField
from semantic_field_ros.semantics import object_field
from semantic_field_ros.semantics.object_field import ObjectField, ObjectHead, mask_loss
from semantic_field_ros.semantics.object_rays import DecodedMasks, FrozenGeometry, ViewRays
from semantic_field_ros.semantics.ray_pairs import ErrorMaps, Pixels, ray_pair_loss
from semantic_field_ros.types import PinholeCamera

_GRID = GridConfig(levels=5, features=2, log2_entries=12)
#: the wall has one colour, so that its rays say nothing about each other.
CONFIG = ObjectFieldConfig(_GRID, steps=80, rays=256, pair_weight=0.0, learning_rate=0.02)
ALL = (1, 2, 3)


def silent(share: float) -> None:
    """Nobody watches."""


@pytest.fixture
def geometry(wall) -> FrozenGeometry:
    field = SceneField(FieldConfig(grid=_GRID), SceneBounds((-1.5, -1.5, 0.5, 1.5, 1.5, 3.5)))
    return FrozenGeometry(field.frozen(), wall.quadrature)


def decoded(wall, x_m: float, objects: Sequence[int] = ALL, wrong: bool = False) -> DecodedMasks:
    """A view of the wall with masks of some pictures, or nonsense."""
    keyframe = wall.keyframe(0, x_m)
    masks = np.stack([keyframe.features.proposals[picture - 1].mask() for picture in objects])
    if wrong:
        masks = np.roll(masks, 20, axis=2)
    logits = np.where(masks, 8, -8).astype(np.float16)
    frame = keyframe.frame
    pose, depth_m = frame.world_from_camera, frame.depth_m
    return DecodedMasks(frame.camera, pose, depth_m, np.array(objects), logits)


def truth(wall, points: np.ndarray) -> np.ndarray:
    inside = np.stack([wall.inside(points, picture) for picture in range(wall.pictures)])
    return np.where(inside.any(axis=0), inside.argmax(axis=0) + 1, 0)


def right(wall, geometry: FrozenGeometry, views: Sequence[DecodedMasks]) -> float:
    """Share of the wall that a field trained on the views tells right."""
    field = ObjectField(CONFIG, geometry, wall.pictures)
    field.train(views, silent)
    points = wall.surface().points
    points = points[np.abs(points[:, 0]) < 0.9]
    identity = field.identities(points)
    np.testing.assert_allclose(identity.sum(axis=1), 1, rtol=1e-4)
    return float((identity.argmax(axis=1) == truth(wall, points)).mean())


def test_cross_entropy_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]]))
    target = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.75, 0.25]])
    everything, even = torch.ones(2, 3, dtype=torch.bool), torch.ones(2)
    first, second = -math.log(0.5), -0.75 * math.log(0.6) - 0.25 * math.log(0.3)
    loss = mask_loss(logits, target, everything, even)
    assert loss.item() == pytest.approx((first + second) / 2)
    loss = mask_loss(logits, target, everything, torch.tensor([1.0, 3.0]))
    assert loss.item() == pytest.approx((first + 3 * second) / 4)


def test_what_a_view_did_not_decode_may_be_in_its_background() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2]]))
    some, one = torch.tensor([[True, True, False]]), torch.ones(1)
    background, first = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    assert mask_loss(logits, background, some, one).item() == pytest.approx(-math.log(0.5 + 0.2))
    assert mask_loss(logits, first, some, one).item() == pytest.approx(-math.log(0.3))


def test_masks_that_overlap_share_a_pixel() -> None:
    logits = np.log(np.array([3.0, 1.0, 1.0])).astype(np.float16).reshape(3, 1, 1)
    depth_m, camera = np.ones((1, 1), np.float32), PinholeCamera(1, 1, 1.0, 1.0, 0.0, 0.0)
    view = DecodedMasks(camera, np.eye(4), depth_m, np.array([1, 2, 4]), logits)
    at = np.zeros(1, np.int64)
    # none : 1 : 2 : 4 are as 1 : 3 : 1 : 1, and identity 3 was not decoded.
    expected = np.array([[1, 3, 1, 0, 1]]) / 6
    np.testing.assert_allclose(view.targets(at, at, 5), expected, rtol=1e-3)


def test_good_masks_are_reproduced(wall, geometry) -> None:
    views = [decoded(wall, x_m) for x_m in (-0.3, 0.0, 0.3)]
    assert right(wall, geometry, views) > 0.95


def test_one_wrong_view_among_many_is_outvoted(wall, geometry) -> None:
    views = [decoded(wall, x_m) for x_m in (-0.3, -0.1, 0.0, 0.1, 0.3)]
    assert right(wall, geometry, [*views, decoded(wall, 0.05, wrong=True)]) > 0.9


def test_views_that_decoded_some_of_the_objects_complete_each_other(wall, geometry) -> None:
    views = [decoded(wall, x_m, (1,)) for x_m in (-0.2, 0.1)]
    views += [decoded(wall, x_m, (2, 3)) for x_m in (-0.1, 0.2)]
    assert right(wall, geometry, views) > 0.9


PAIRED = dataclasses.replace(CONFIG, warm_up_steps=15, pair_weight=0.5, patches=3)


def asked_after(config: ObjectFieldConfig, steps: int, wall, geometry) -> np.ndarray:
    """What a field says of the wall after so many steps on three views."""
    field = ObjectField(dataclasses.replace(config, steps=steps), geometry, wall.pictures)
    field.train([decoded(wall, x_m) for x_m in (-0.2, 0.0, 0.2)], silent)
    return field.identities(wall.surface().points)


def test_ray_pairs_join_after_the_warm_up(wall, geometry) -> None:
    alone = dataclasses.replace(PAIRED, pair_weight=0.0)
    warm = [asked_after(config, 15, wall, geometry) for config in (alone, PAIRED)]
    np.testing.assert_array_equal(*warm)
    after = [asked_after(config, 30, wall, geometry) for config in (alone, PAIRED, PAIRED)]
    assert np.abs(after[1] - after[0]).max() > 0.01
    np.testing.assert_array_equal(after[1], after[2])


def test_of_32_rays_that_each_view_of_a_patch_sends_20_are_references(
    wall, geometry, monkeypatch
) -> None:
    pairs: list[tuple[int, int, float]] = []

    def noted(identity, colour, references, largest_difference):
        pairs.append((len(identity), references, largest_difference))
        return ray_pair_loss(identity, colour, references, largest_difference)

    monkeypatch.setattr(object_field, "ray_pair_loss", noted)
    asked_after(PAIRED, 15, wall, geometry)
    assert not pairs
    asked_after(PAIRED, 17, wall, geometry)
    # Two steps with three patches each; all three views show the middle of the wall, and what is
    # at its edge is shown by one or two of them.
    assert len(pairs) == 6 and set(pairs) <= {(32 * n, 20 * n, 0.1) for n in (1, 2, 3)}
    assert (96, 60, 0.1) in pairs


def fit(wall, geometry, views: Sequence[DecodedMasks]) -> object_field._Fit:
    head = ObjectHead(PAIRED, geometry, wall.pictures + 1, seed=0)
    rays = ViewRays(views, geometry)
    return object_field._Fit(PAIRED, head, rays, np.random.default_rng(0))


def test_a_patch_lies_around_one_pixel_and_where_other_views_show_its_point(
    wall, geometry
) -> None:
    # 0.2 m to the side are 0.2 · 50 / 2 = 5 px; the fourth view is too far away to see the point.
    views = [decoded(wall, x_m) for x_m in (0.0, -0.2, 0.2)]
    away = views[0].world_from_camera.copy()
    away[0, 3] = 4.0
    views.append(dataclasses.replace(views[0], world_from_camera=away))
    training, worst = fit(wall, geometry, views), Pixels(*np.array([[0], [32], [24]]))
    sides_px = set()
    for _ in range(12):
        patch = training._patches(worst)
        assert np.bincount(patch.view).tolist() == [32, 32, 32]
        off_px = np.stack([patch.u - np.array([32, 37, 27])[patch.view], patch.v - 24])
        reach_px = -int(off_px.min())
        assert off_px.max() < reach_px
        sides_px.add(2 * reach_px)
        assert set(patch.view[:60].tolist()) == {0, 1, 2}  # references are rays of all views
    assert sides_px == {8, 16}


def test_a_patch_is_shown_by_four_views_at_most_and_always_by_its_own(wall, geometry) -> None:
    views = [decoded(wall, 0.02 * number) for number in range(7)]
    training, worst = fit(wall, geometry, views), Pixels(*np.array([[2], [32], [24]]))
    shown = [np.bincount(training._patches(worst).view, minlength=7) for _ in range(40)]
    assert all(sorted(rays.tolist()) == [0, 0, 0, 32, 32, 32, 32] for rays in shown)
    assert all(rays[2] == 32 for rays in shown)
    assert np.all(np.sum(shown, axis=0) > 0)  # any of the others


def test_all_error_maps_are_refreshed_once_in_200_steps(wall, geometry, monkeypatch) -> None:
    noted: list[Pixels] = []

    class Watched(ErrorMaps):
        def update(self, pixels: Pixels, error: np.ndarray) -> None:
            noted.append(pixels)
            super().update(pixels, error)

    monkeypatch.setattr(object_field, "ErrorMaps", Watched)
    config = dataclasses.replace(PAIRED, rays=4, warm_up_steps=1000)
    asked_after(config, 402, wall, geometry)
    # A quarter of 64 x 48 pixels is 16 x 12 cells, in each of three views.
    once = [4] * 200 + [576]
    assert [len(pixels) for pixels in noted] == [*once, *once, 4, 4]
    cells = noted[200]
    assert len({*zip(cells.view, cells.u // 4, cells.v // 4, strict=True)}) == 576


@pytest.mark.parametrize("fed", [True, False])
def test_the_mlp_is_fed_with_what_density_knows_where_that_is_asked_for(
    wall, geometry, fed
) -> None:
    config = dataclasses.replace(CONFIG, density_features=fed)
    field = ObjectField(config, geometry, wall.pictures)
    head, points = field._head, torch.from_numpy(wall.surface().points[::80])
    known = geometry.field.radiance(points).features
    given = head.encoder(geometry.field.bounds.unit_from_world(points))
    given = torch.cat([given, known], dim=1) if fed else given
    expected = head.mlp(given)
    torch.testing.assert_close(head(points, known), expected)
    assert torch.equal(head(points, known), head(points, known + 1)) is not fed
    # The same where it is asked about points, and where it is rendered.
    identity = torch.from_numpy(field.identities(points.numpy()))
    torch.testing.assert_close(identity, torch.softmax(expected, dim=1))
    light = geometry.light(
        np.zeros((len(points), 3), np.float32),
        points.numpy() / points.numpy()[:, 2:],
        np.full(len(points), np.nan, np.float32),
    )
    torch.testing.assert_close(head.rays(light), expected, atol=1e-4, rtol=1e-3)


def test_rays_that_end_elsewhere_than_measured_are_not_trusted(wall, geometry) -> None:
    seen = decoded(wall, 0.0)
    depth_m = seen.depth_m.copy()
    depth_m[0, :3] = wall.depth_m + np.array([0.019, 0.021, np.nan])
    blind = dataclasses.replace(seen, depth_m=np.full_like(depth_m, np.nan))
    rays = ViewRays([dataclasses.replace(seen, depth_m=depth_m), blind], geometry)
    pixels = Pixels(np.array([0, 0, 0, 1]), np.array([0, 1, 2, 0]), np.zeros(4, np.int64))
    trusted = rays.trusted(pixels, rays.light(pixels).depth_m)
    assert trusted.tolist() == [True, False, False, True]


def test_whoever_watches_can_stop_it(wall, geometry) -> None:
    seen: list[float] = []

    def stop_at_half(share: float) -> None:
        seen.append(share)
        if share >= 0.5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        ObjectField(CONFIG, geometry, 3).train([decoded(wall, 0.0)], stop_at_half)
    assert seen == pytest.approx([step / 80 for step in range(1, 41)])


def test_the_geometry_is_left_alone(wall, geometry) -> None:
    before = {k: v.clone() for k, v in geometry.field.state_dict().items()}
    right(wall, geometry, [decoded(wall, 0.0)])
    for name, value in geometry.field.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_no_view_is_refused(geometry) -> None:
    with pytest.raises(ValueError, match="at least one decoded view"):
        ObjectField(CONFIG, geometry, 1).train([], silent)


def test_a_point_is_followed_into_the_views_that_show_it(wall, geometry) -> None:
    rays = ViewRays([decoded(wall, 0.0), decoded(wall, 0.4)], geometry)
    at = Pixels(*np.array([[0], [40], [30]]))
    light = rays.light(at)
    point = rays.point(at, light.depth_m)
    # (40 - 31.5) / 50 · 2 m, (30 - 23.5) / 50 · 2 m, and 0.4 m · 50 / 2 m = 10 px to the left.
    np.testing.assert_allclose(point, [0.34, 0.26, 2.0], atol=1e-5)
    assert rays.visible_at(point, 1) == (30, 30)
    assert rays.visible_at(point * 0.9, 1) is None
    assert rays.visible_at(np.array([9, 0, 2], np.float32), 1) is None
