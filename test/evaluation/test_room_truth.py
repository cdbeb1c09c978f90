"""Instance images and names of Replica and ScanNet."""

import json
import shutil

import numpy as np
import pytest
from photo_scenes import write_png, write_replica, write_scannet

from semantic_field_ros.evaluation.dense import class_list
from semantic_field_ros.evaluation.open_truth import open_truth
from semantic_field_ros.stream.open import SourceOptions, open_source

INFO = {
    "classes": [{"id": 20, "name": "office-chair"}, {"id": 93, "name": "wall"}],
    "objects": [
        {"id": 3, "class_id": 93, "class_name": "wall"},
        {"id": 7, "class_id": 20, "class_name": "office-chair"},
        {"id": 9, "class_id": -1, "class_name": "undefined"},
    ],
}


@pytest.fixture
def replica(tmp_path):
    """office_0/Sequence_1, and the names in semantic_info/office_0 beside the rooms."""
    folder = tmp_path / "office_0" / "Sequence_1"
    (tmp_path / "semantic_info/office_0").mkdir(parents=True)
    (tmp_path / "semantic_info/office_0/info_semantic.json").write_text(json.dumps(INFO))
    folder.mkdir(parents=True)
    return write_replica(folder)


def test_replica_tells_objects_and_their_classes(replica):
    truth = open_truth(open_source(str(replica)))
    assert {i: (t.phrase, t.is_stuff) for i, t in truth.things.items()} == {
        4: ("wall", True),  # ids are one more than in the images, so that 0 is nobody's
        8: ("office chair", False),
    }
    view = truth.at(400_000_000)
    assert np.count_nonzero(view.instance == 8) == 6 and np.count_nonzero(view.instance == 4) == 42
    assert (view.depth_m == 2.0).all() and view.world_from_camera[0, 3] == 0.1
    assert class_list(truth, ("things",)).phrases == ("office chair", "wall")  # and no background
    assert truth.labelled is None and truth.knows(next(iter(open_source(str(replica)))))
    with pytest.raises(ValueError, match="no labelled frame has stamp 2000000000 ns"):
        truth.at(2_000_000_000)


@pytest.mark.parametrize("place", ["info_semantic.json", "../habitat/info_semantic.json"])
def test_names_may_lie_beside_the_images(replica, place):
    shutil.rmtree(replica.parents[1] / "semantic_info")
    assert open_truth(open_source(str(replica))) is None  # nobody knows what the ids mean
    (replica / place).parent.mkdir(exist_ok=True)
    (replica / place).write_text(json.dumps(INFO))
    assert len(open_truth(open_source(str(replica))).things) == 2


def test_without_instances_replica_has_classes_alone(replica):
    shutil.rmtree(replica / "semantic_instance")
    truth = open_truth(open_source(str(replica)))
    assert {i: (t.phrase, t.is_stuff) for i, t in truth.things.items()} == {
        21: ("office chair", True),
        94: ("wall", True),
    }
    assert np.count_nonzero(truth.at(200_000_000).instance == 21) == 6


def test_broken_names_are_refused(replica):
    (replica / "info_semantic.json").write_text('{"objects": [{"id": "x"}]}')
    with pytest.raises(ValueError, match="must hold classes and objects"):
        open_truth(open_source(str(replica)))


TABLE = """id\traw_category\tcategory\tcount\tnyu40id\teigen13id\tnyuClass\tnyu40class
1\twall\twall\t8277\t1\t12\twall\twall
2\toffice chair\tchair\t4646\t5\t4\tchair\tchair
1163\tobject\tobject\t5\t40\t7\tprop\totherprop
"""


@pytest.fixture
def scannet(tmp_path):
    """scans/scene0004_00 with labels as large as the colour images; the table lies above."""
    folder = tmp_path / "scans" / "scene0004_00"
    folder.mkdir(parents=True)
    (tmp_path / "scannetv2-labels.combined.tsv").write_text(TABLE)
    write_scannet(folder)
    label = np.full((12, 16), 1)
    label[2:6, 2:6], label[8:10, 8:12], label[0, 0] = 2, 1163, 0
    instance = np.full((12, 16), 5)
    instance[2:6, 2:4], instance[2:6, 4:6], instance[0, 0] = 1, 2, 0
    for number in (0, 20, 40):
        write_png(folder / "label-filt" / f"{number}.png", label)
        write_png(folder / "instance-filt" / f"{number}.png", instance, np.uint8)
    return folder


def test_scannet_tells_objects_and_their_nyu40_classes(scannet):
    truth = open_truth(open_source(str(scannet)))
    assert {i: (t.phrase, t.is_stuff) for i, t in truth.things.items()} == {
        1005: ("wall", True),
        2001: ("chair", False),
        2002: ("chair", False),
    }
    view = truth.at(4_200_000_000)  # frame 20
    assert view.instance.shape == (6, 8) == view.depth_m.shape
    assert np.count_nonzero(view.instance == 2001) == 2
    assert np.count_nonzero(np.isin(view.instance, [2001, 2002])) == 4
    assert class_list(truth, ("things",)).phrases == ("chair", "wall")


def test_scannet_without_instances_has_classes_alone(scannet):
    shutil.rmtree(scannet / "instance-filt")
    truth = open_truth(open_source(str(scannet)))
    assert {i: t.is_stuff for i, t in truth.things.items()} == {1000: True, 2000: True}


def test_scannet_without_labels_or_names_has_no_truth(scannet):
    source = open_source(str(scannet), SourceOptions(frames=2))
    assert open_truth(source) is not None
    (scannet.parents[1] / "scannetv2-labels.combined.tsv").unlink()
    assert open_truth(source) is None


def test_broken_scannet_labels_are_refused(scannet):
    source = open_source(str(scannet))
    write_png(scannet / "instance-filt/20.png", np.zeros((3, 4)), np.uint8)
    with pytest.raises(ValueError, match="labels and instances of one size"):
        open_truth(source)
    (scannet / "scannetv2-labels.combined.tsv").write_text("id\tname\n1\twall\n")
    with pytest.raises(ValueError, match="columns id and nyu40class"):
        open_truth(source)
