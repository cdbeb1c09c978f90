"""What refines is chosen by the config."""

import pytest

from semantic_field_ros.config import Config, QueriesConfig
from semantic_field_ros.queries.base import CancelledError, Refinement
from semantic_field_ros.queries.refining import Refiner
from semantic_field_ros.queries.text import RegionLimits


def test_an_unknown_way_to_refine_is_refused_with_the_choices() -> None:
    config = Config(queries=QueriesConfig(refine_with="magic"))
    with pytest.raises(ValueError, match=r"object_field.*votes.*'magic'"):
        Refiner(config, RegionLimits(2.5, 12))


def test_a_refinement_ends_when_it_is_no_longer_wanted() -> None:
    refinement = Refinement()
    refinement.reached(0.25)
    assert refinement.share == 0.25
    refinement.cancel()
    with pytest.raises(CancelledError):
        refinement.reached(0.5)
    assert refinement.share == 0.25
