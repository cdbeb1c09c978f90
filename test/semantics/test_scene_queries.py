"""Scene queries: what they are called."""

from dataclasses import replace

import numpy as np

from semantic_field_ros.semantics.lifting import LiftedView
from semantic_field_ros.semantics.scene_queries import SceneQueries

WALL = np.stack(np.meshgrid(np.arange(40), np.arange(40)), -1).reshape(-1, 2) * 0.02
POINTS = np.column_stack([WALL, np.ones(len(WALL))]).astype(np.float32)


def view(columns: int, language: list[float]) -> LiftedView:
    """The whole wall, with one mask of its first columns."""
    mask = WALL[:, 0] < columns * 0.02 - 0.01
    return LiftedView(
        POINTS,
        np.full(len(POINTS), 0.02, np.float32),
        mask[None],
        np.ones(1, np.float32),
        np.array([language], np.float32),
        np.ones(1, np.float32),
    )


def test_a_mask_that_holds_a_neighbour_too_hardly_names_its_query() -> None:
    scene = SceneQueries(8, 0.02, 2)
    scene.absorb(view(10, [1, 0]))
    scene.absorb(view(10, [1, 0]))
    scene.absorb(view(20, [0, 1]))
    (query,) = scene.active()
    # Weights 0.5⁴ + 1 of the whole masks against 0.5⁴ of the merged one, whose IoU is a half.
    expected = np.array([1.0625, 0.0625])
    np.testing.assert_allclose(
        scene.language()[query], expected / np.linalg.norm(expected), atol=1e-3
    )


def together(*views: LiftedView) -> LiftedView:
    """The wall, with the masks of several views of it."""
    names = ("masks", "quality", "language", "language_weight")
    masks = {name: np.concatenate([getattr(one, name) for one in views]) for name in names}
    return replace(views[0], **masks)


def test_queries_that_claim_the_same_surface_become_one() -> None:
    scene = SceneQueries(8, 0.02, 2)
    one, both = view(10, [1, 0]), together(view(10, [1, 0]), view(10, [0, 1]))
    for seen in (one, one, one, both):
        scene.absorb(seen)
    assert scene.active().tolist() == [0, 1]
    queries, went = scene.absorb(both)  # the fifth view: time to tidy up
    assert scene.active().tolist() == [0]
    assert queries.tolist() == [0, 0]
    assert went.tolist() == [0, 0, 2, 3, 4, 5, 6, 7, -1]
    # Five masks were matched to the first query and two to the second, each of which was a chance.
    assert (scene.matches[0], scene.chances[0]) == (7, 7)
    # Views that started a query count 0.5⁴ for its name, the others all.
    expected = np.array([4.0625, 1.0625])
    np.testing.assert_allclose(scene.evidence_px()[0], np.linalg.norm(expected), rtol=1e-4)
    np.testing.assert_allclose(scene.language()[0], expected / np.linalg.norm(expected), atol=1e-4)
    membership = scene.votes.membership(scene.votes.find(POINTS), 8)
    np.testing.assert_array_equal(membership[0] > 0.5, one.masks[0])
    assert not membership[1:].any()


def test_queries_that_share_less_than_half_of_their_surface_stay_two() -> None:
    scene = SceneQueries(8, 0.02, 2)
    for _ in range(5):
        queries, _ = scene.absorb(together(view(10, [1, 0]), view(24, [0, 1])))
    assert queries.tolist() == scene.active().tolist() == [0, 1]


def test_names_that_disagree_are_little_evidence() -> None:
    agreed, disputed = SceneQueries(8, 0.02, 2), SceneQueries(8, 0.02, 2)
    for one, other in (([1, 0], [1, 0]), ([1, 0], [0, 1])):
        for scene, name in ((agreed, one), (disputed, other)):
            seen = view(10, name)
            scene.absorb(replace(seen, language_weight=np.full(1, 80, np.float32)))
    # Of 80 pixels the view that starts the query counts 0.5⁴, the second, whose mask is the
    # same, all: 5 + 80 where the names agree, √(5² + 80²) where they are at a right angle.
    np.testing.assert_allclose(agreed.evidence_px()[agreed.active()], [85.0], rtol=1e-3)
    np.testing.assert_allclose(disputed.evidence_px()[disputed.active()], [80.16], rtol=1e-3)


def test_views_of_sparse_samples_that_fall_beside_each_other_meet() -> None:
    scene = SceneQueries(8, 0.01, 2)
    for shift_m in (0.0, 0.01, 0.015):
        seen = view(20, [1, 0])
        shifted = seen.points + np.array([shift_m, shift_m, 0], np.float32)
        scene.absorb(replace(seen, points=shifted))
    assert scene.matches[scene.active()].tolist() == [3]


def things(*numbers: int) -> LiftedView:
    """Patches of a wall a metre apart, each with a mask and a name of its own."""
    patch = POINTS[(WALL < 0.2).all(axis=1)]
    shifts = np.array([[number, 0, 0] for number in numbers], np.float32)
    return LiftedView(
        np.concatenate([patch + shift for shift in shifts]),
        np.full(len(numbers) * len(patch), 0.02, np.float32),
        np.repeat(np.eye(len(numbers), dtype=np.bool_), len(patch), axis=1),
        np.ones(len(numbers), np.float32),
        np.eye(8, dtype=np.float32)[list(numbers)],
        np.ones(len(numbers), np.float32),
    )


def test_new_things_of_one_view_never_share_a_query_that_had_to_make_room() -> None:
    scene = SceneQueries(4, 0.02, 8)
    for _ in range(3):
        assert scene.absorb(things(0, 1, 2, 3))[0].tolist() == [0, 1, 2, 3]
    scene.absorb(things(2, 3))  # now 0 and 1 are the least supported ones
    queries, went = scene.absorb(things(4, 3, 5))
    assert queries.tolist() == [0, 3, 1]
    assert went.tolist() == [-1, -1, 2, 3, -1]
    np.testing.assert_allclose(scene.language()[queries], np.eye(8)[[4, 3, 5]], atol=1e-6)


def test_a_thing_that_takes_the_place_of_another_is_judged_by_its_own_views() -> None:
    """Many views saw the place where it is now; the other one was matched in all of them."""
    scene, seen = SceneQueries(1, 0.02, 8), things(0, 1)
    old, new = (
        replace(
            seen,
            masks=seen.masks[[i]],
            quality=seen.quality[[i]],
            language=seen.language[[i]],
            language_weight=seen.language_weight[[i]],
        )
        for i in (0, 1)
    )
    for _ in range(8):
        scene.absorb(old)
    for _ in range(3):
        scene.absorb(new)
    assert scene.matches.tolist() == [3]
    claimed = scene.votes.membership(scene.votes.find(seen.points), 1)[0] > 0.5
    np.testing.assert_array_equal(claimed, seen.masks[1])


def test_a_view_of_more_things_than_there_may_be_queries_leaves_some_without() -> None:
    scene = SceneQueries(2, 0.02, 8)
    scene.absorb(things(0, 1))
    queries, _ = scene.absorb(things(1, 2, 3))
    assert queries.tolist() == [1, 0, -1]
    np.testing.assert_allclose(scene.language(), np.eye(8)[[2, 1]], atol=1e-6)
