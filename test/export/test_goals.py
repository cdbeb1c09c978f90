import numpy as np
import pytest

from semantic_field_ros.config import NavigationConfig
from semantic_field_ros.export.costmap import build_costmap
from semantic_field_ros.export.goals import GoalOptions, find_goals, visible_share

CONFIG = NavigationConfig(resolution_m=0.1, robot_radius_m=0.2)
EYE_M = 0.8


@pytest.fixture(scope="module")
def costmap(room):
    return build_costmap(room.surface, [], CONFIG)


def goals_of(room, costmap, **how):
    return find_goals(costmap, room.surface, room.box, EYE_M, CONFIG, GoalOptions(**how))


def test_goals_are_free_face_the_thing_and_are_apart(room, costmap):
    answer = goals_of(room, costmap)
    assert len(answer.goals) == 5
    assert answer.map_version == 7
    assert not answer.reason
    scores = [goal.score for goal in answer.goals]
    assert scores == sorted(scores, reverse=True)
    places = np.array([goal.world_from_base[:2, 3] for goal in answer.goals])
    for goal, place in zip(answer.goals, places, strict=True):
        assert goal.clearance_m >= 0.2
        assert 0.4 <= goal.distance_m <= 2.0
        assert goal.visible > 0.5
        ahead = np.array([1.0, 0.0]) - place
        np.testing.assert_allclose(
            goal.world_from_base[:2, 0], ahead / np.linalg.norm(ahead), atol=1e-6
        )
        assert goal.world_from_base[2, 3] == 0.0
    gaps = np.linalg.norm(places[:, None] - places[None], axis=2)[np.triu_indices(5, 1)]
    assert gaps.min() >= 0.3


def test_a_wall_between_hides(room):
    eyes = np.array([[-0.4, -1.9, 0.5], [0.6, -1.0, 0.5]])
    low_wall_hides, nothing_hides = visible_share(eyes, room.box, room.surface, 0.1)
    assert low_wall_hides < 0.3
    assert nothing_hides > 0.8


def test_a_side_that_was_never_seen_cannot_be_looked_at(room):
    """Of the box only the side towards +x is in the mask."""
    from dataclasses import replace

    east = room.box.points[:, 0] > 1.19
    mask = replace(room.box, points=room.box.points[east], indices=room.box.indices[east])
    eyes = np.array([[-0.5, 0.0, 0.3], [2.0, 0.0, 0.3]])
    behind, before = visible_share(eyes, mask, room.surface, 0.1)
    assert behind == 0
    assert before > 0.8


def test_only_places_that_hang_together_with_the_start_are_offered(room):
    """A fence from wall to wall at y = -0.6 leaves the box on the other side."""
    from dataclasses import replace

    x, z = (g.ravel() for g in np.meshgrid(np.arange(-2, 2, 0.04), np.arange(0.1, 0.5, 0.04)))
    fence = np.stack([x, np.full_like(x, -0.6), z], axis=1).astype(np.float32)
    count = len(fence)
    surface = replace(
        room.surface,
        points=np.concatenate([room.surface.points, fence]),
        normals=np.concatenate([room.surface.normals, np.tile(np.float32([0, 1, 0]), (count, 1))]),
        spacing_m=np.concatenate([room.surface.spacing_m, np.full(count, 0.04, np.float32)]),
    )
    costmap = build_costmap(surface, [], CONFIG)
    for start_y, above in ((1.0, True), (-1.3, False)):
        start = np.array([1.0, start_y, 0.0])
        found = find_goals(
            costmap, surface, room.box, EYE_M, CONFIG, GoalOptions(start=start)
        ).goals
        assert found
        assert all((goal.world_from_base[1, 3] > -0.6) == above for goal in found)


def test_a_robot_need_not_have_seen_the_floor_it_stands_on(room):
    """Its camera looks ahead from (-1.5, 0), and sees no floor before x = -0.6."""
    from dataclasses import replace

    seen = room.surface.points[:, 0] > -0.6
    parts = {n: getattr(room.surface, n)[seen] for n in ("points", "normals", "rgb", "spacing_m")}
    surface = replace(room.surface, **parts, features={})
    costmap = build_costmap(surface, [], CONFIG)
    for start, reached in (((-1.5, 0.0, 0.0), True), ((-6.0, 0.0, 0.0), False)):
        how = GoalOptions(start=np.array(start))
        answer = find_goals(costmap, surface, room.box, EYE_M, CONFIG, how)
        assert bool(answer.goals) == reached
        assert all(goal.world_from_base[0, 3] > -0.6 for goal in answer.goals)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"start": np.array([9.0, 9.0, 0.0])}, "near the start"),
        ({"distance_m": (7.0, 8.0)}, "7 to 8 m away"),
    ],
)
def test_no_goal_comes_with_a_reason(room, costmap, how, reason):
    answer = goals_of(room, costmap, **how)
    assert not answer.goals
    assert reason in answer.reason


def test_a_robot_that_fits_nowhere_hears_it(room, costmap):
    wide = NavigationConfig(resolution_m=0.1, robot_radius_m=3.0)
    answer = find_goals(costmap, room.surface, room.box, EYE_M, wide, GoalOptions())
    assert not answer.goals
    assert "no free place" in answer.reason


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="distance_m"):
        GoalOptions(distance_m=(1.0, 0.5))
    for wrong in ({"max_results": 0}, {"max_results": -1}, {"spacing_m": np.nan}):
        with pytest.raises(ValueError, match="expected max_results >= 1 and spacing_m >= 0, got"):
            GoalOptions(**wrong)
    with pytest.raises(ValueError, match="start must be finite, got"):
        GoalOptions(start=np.array([np.nan, 0.0, 0.0]))
