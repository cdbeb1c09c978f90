"""What refines is chosen by the config."""

import pytest

from semantic_field_ros.queries.base import CancelledError, Refinement


def test_a_refinement_ends_when_it_is_no_longer_wanted() -> None:
    refinement = Refinement()
    refinement.reached(0.25)
    assert refinement.share == 0.25
    refinement.cancel()
    with pytest.raises(CancelledError):
        refinement.reached(0.5)
    assert refinement.share == 0.25
