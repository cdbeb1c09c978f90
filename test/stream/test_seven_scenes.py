import cv2
import numpy as np
import pytest

from semantic_field_ros.stream.seven_scenes import SevenScenes

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
DEPTH_MM = np.array([[0, 65535, 1500, 250, 1, 9, 9, 9]] * 6, np.uint16)


def write_frame(folder, number, pose=None, depth=True, suffix="png"):
    stem = folder / f"frame-{number:06d}"
    cv2.imwrite(f"{stem}.color.{suffix}", RGB[..., ::-1])
    np.savetxt(f"{stem}.pose.txt", np.eye(4) if pose is None else pose)
    if depth:
        cv2.imwrite(f"{stem}.depth.png", DEPTH_MM)


@pytest.fixture
def folder(tmp_path):
    np.savetxt(tmp_path / "camera-intrinsics.txt", [[7, 0, 3.5], [0, 7.5, 2.5], [0, 0, 1]])
    return tmp_path


def test_frames_come_in_order_with_their_units(folder):
    pose = np.eye(4)
    pose[:3, 3] = 1, 2, 3
    write_frame(folder, 10, pose)
    write_frame(folder, 2)
    source = SevenScenes(folder)
    first, second = source
    assert source.length == 2 and source.rate_hz == 5.0
    assert (first.stamp_ns, second.stamp_ns) == (600_000_000, 2_200_000_000)
    np.testing.assert_array_equal(second.world_from_camera, pose)
    np.testing.assert_array_equal(first.rgb, RGB)
    expected = np.array([np.nan, np.nan, 1.5, 0.25], np.float32)
    np.testing.assert_array_equal(first.depth_m[0, :4], expected)
    assert (first.camera.fx, first.camera.fy, first.camera.cx) == (7.0, 7.5, 3.5)
    assert len(list(source)) == 2


def test_folder_without_depth_gives_colour_only(folder):
    write_frame(folder, 0, depth=False, suffix="jpg")
    (frame,) = SevenScenes(folder)
    assert frame.depth_m is None


def damage(folder, kind):
    stem = folder / "frame-000001"
    broken = {
        "no pose": lambda: (folder / "frame-000001.pose.txt").unlink(),
        "nan pose": lambda: np.savetxt(f"{stem}.pose.txt", np.full((4, 4), np.nan)),
        "scaled pose": lambda: np.savetxt(f"{stem}.pose.txt", np.diag([2, 2, 2, 1.0])),
        "short pose": lambda: np.savetxt(f"{stem}.pose.txt", np.eye(3)),
        "words": lambda: (folder / "frame-000001.pose.txt").write_text("lost lost"),
        "depth size": lambda: cv2.imwrite(f"{stem}.depth.png", DEPTH_MM[:3]),
        "depth kind": lambda: cv2.imwrite(f"{stem}.depth.png", RGB),
        "truncated": lambda: (folder / "frame-000001.color.png").write_bytes(b"\x89PNG\r\n"),
    }
    broken[kind]()


@pytest.mark.parametrize(
    "kind",
    [
        "no pose",
        "nan pose",
        "scaled pose",
        "short pose",
        "words",
        "depth size",
        "depth kind",
        "truncated",
    ],
)
def test_frames_that_are_not_whole_are_skipped_and_counted(folder, kind):
    for number in range(3):
        write_frame(folder, number)
    damage(folder, kind)
    source = SevenScenes(folder)
    assert [frame.stamp_ns for frame in source] == [200_000_000, 600_000_000]
    assert source.tally.counts == {"frame not whole": 1}
    assert "frame-000001" in source.tally.last["frame not whole"]


def test_what_is_no_such_folder_is_refused(tmp_path, folder):
    with pytest.raises(ValueError, match="found none"):
        SevenScenes(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="found none"):
        SevenScenes(folder)
    write_frame(folder, 0)
    (folder / "camera-intrinsics.txt").write_text("500 500")
    with pytest.raises(ValueError, match=r"shape \(3, 3\), got \(1, 2\)"):
        SevenScenes(folder)


def test_broken_intrinsics_never_become_a_camera(folder):
    write_frame(folder, 0)
    np.savetxt(folder / "camera-intrinsics.txt", np.full((3, 3), np.nan))
    source = SevenScenes(folder)
    assert list(source) == []
    assert "finite" in source.tally.last["frame not whole"]
