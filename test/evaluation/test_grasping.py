"""Figures over trials, and the dense search for a grasp on exact meshes."""

import numpy as np
import pytest

from semantic_field_ros.evaluation.grasp_check import ExactScene, Verdict
from semantic_field_ros.evaluation.grasping import Trial, dense_grasps, figures
from semantic_field_ros.export.gripper import Gripper
from semantic_field_ros.stream.synthetic.mesh import box

HELD = Verdict(True, "", 0.9, 0.002)
HIT = Verdict(False, "hits something else while closing")


def trial(kind: str, verdict: Verdict | None, **facts) -> Trial:
    told = {"shown": 1, "right": True, "holdable": True, "latency_s": 0.5} | facts
    return Trial(kind=kind, phrase="mug", verdict=verdict, **told)


def test_shares_are_of_what_could_be_held():
    trials = [
        trial("click", HELD),
        trial("click", HIT),
        trial("click", None),
        trial("click", HIT, holdable=False),
        trial("text", HELD, right=False),
        trial("text", None, shown=None),
    ]
    measured = figures(trials)
    click = measured["click"]
    assert (click["asked"], click["answered"], click["unholdable"]) == (4, 4, 1)
    assert click["top1_closes"] == 0.5
    assert click["offered_share"] == pytest.approx(2 / 3)
    assert click["closes_share"] == pytest.approx(1 / 3)
    assert click["failures"] == {"hits something else while closing": 1}
    # It closes, on another object than the one that was asked for.
    assert measured["text"]["top1_closes"] == 1.0 and measured["text"]["closes_share"] == 0.0
    assert measured["all"]["top1_closes"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(("edge_m", "holdable"), [(0.05, True), (0.12, False)])
def test_a_dense_search_finds_a_grasp_where_there_is_one(edge_m, holdable):
    def arrays(mesh):
        return mesh.vertices.astype(np.float64), mesh.triangles

    cube = arrays(box((edge_m, edge_m, edge_m)))
    scene = ExactScene({0: arrays(box((1, 1, 0.02)).moved(z=-0.02)), 1: cube})
    grasps = dense_grasps(*cube, scene.surface(1), Gripper())
    assert any(scene.check(grasp, Gripper(), 1).closes for grasp in grasps) == holdable
