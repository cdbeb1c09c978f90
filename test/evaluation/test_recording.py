import numpy as np

from semantic_field_ros.evaluation.recording import write_folder
from semantic_field_ros.stream.seven_scenes import SevenScenes
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.types import PinholeCamera

CAMERA = PinholeCamera(32, 24, 28.0, 29.0, 15.5, 11.5)


def test_what_is_written_is_read_again_with_its_gaps(tmp_path):
    frames = list(SyntheticSource("table", 4, frames=4, camera=CAMERA))
    kept = [frames[0], frames[1], frames[3]]
    assert write_folder(tmp_path, kept) == 3
    for old, new in zip(kept, SevenScenes(tmp_path), strict=True):
        assert (new.stamp_ns, new.camera) == (old.stamp_ns, old.camera)
        assert (new.rgb == old.rgb).all()
        assert np.allclose(new.world_from_camera, old.world_from_camera)
        assert np.allclose(new.depth_m, old.depth_m, atol=5.1e-4, equal_nan=True)
