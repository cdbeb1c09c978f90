"""The demo with its two processes, on a short path."""

import json
import os
import subprocess

import cv2
import pytest
from rich.console import Console

from semantic_field_ros.evaluation.demo import DemoOptions, demo_environment, run_demo
from semantic_field_ros.models.tiny.load import CLIP_WEIGHTS, SAM_WEIGHTS


def children():
    """Command lines of this process's living descendants."""
    listed = subprocess.run(
        ["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, text=True
    ).stdout
    return [line for line in listed.splitlines() if "semantic_field_ros.cli" in line]


def test_the_demo_has_a_domain_of_its_own_on_this_machine():
    environment = demo_environment()
    assert 100 <= int(environment["ROS_DOMAIN_ID"]) < 200
    assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"


def test_only_worlds_can_be_demonstrated(tmp_path):
    with pytest.raises(ValueError, match="there is no"):
        run_demo(DemoOptions(tmp_path, "nowhere"), Console())


@pytest.mark.skipif(
    not (SAM_WEIGHTS.is_file() and CLIP_WEIGHTS.is_file()), reason="no bundled weights"
)
@pytest.mark.timeout(600)
def test_a_short_demo_from_frames_to_pictures(tmp_path):
    run_demo(DemoOptions(tmp_path, seconds=12.0, frames=32), Console(width=120, quiet=True))
    tree = json.loads((tmp_path / "report.json").read_text())
    assert set(tree["mapping"]) >= {
        "frames", "keyframes", "seconds", "psnr_db", "depth_median_m", "peak_memory_mb",
    }  # fmt: skip
    assert tree["mapping"]["frames"] == 28 and tree["mapping"]["held_out"] == 4
    kinds = [(q["kind"], q["present"]) for q in tree["queries"]]
    assert kinds.count(("text", True)) >= 4 and kinds.count(("text", False)) >= 3
    assert kinds.count(("click", True)) >= 1
    assert all(q["latency_s"] > 0 for q in tree["queries"])
    assert cv2.imread(str(tmp_path / "answers.png")).shape[1] > 1000
    assert (tmp_path / "map.ply").read_bytes().startswith(b"ply")
    assert children() == []
