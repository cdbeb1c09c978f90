"""From scores of classes to a class per point."""

import numpy as np

from semantic_field_ros.queries.classes import best_classes


def test_the_highest_score_wins_and_its_share_is_told() -> None:
    scores = np.array([[1.0, 3.0], [0.5, 0.0], [0.0, 0.0]], np.float32)
    class_of_point, share = best_classes(scores)
    assert class_of_point.tolist() == [1, 0, -1]  # a row of zeros says nothing
    assert share.tolist() == [0.75, 1.0, 0.0] and share.dtype == np.float32


def test_no_points_have_no_classes() -> None:
    class_of_point, share = best_classes(np.zeros((0, 2), np.float32))
    assert len(class_of_point) == len(share) == 0
