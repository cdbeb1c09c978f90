"""Tiny folders in the layouts of published data sets, as tests of several rooms need them."""

import struct

import cv2
import numpy as np

#: a grid of 3 x 3 points on the plane z = 6 of COLMAP's world, in its unit.
POINTS = [(x, y, 6.0) for x in (-1, 0, 1) for y in (-1, 0, 1)]
#: camera 1 of every scene: 40 x 30 pixels, fx 35, fy 36.
PINHOLE = (1, "PINHOLE", 40, 30, (35.0, 36.0, 20.0, 15.0))
MODEL_NUMBERS = {
    "SIMPLE_PINHOLE": 0,
    "PINHOLE": 1,
    "SIMPLE_RADIAL": 2,
    "RADIAL": 3,
    "OPENCV": 4,
    "OPENCV_FISHEYE": 5,
    "FOV": 7,
}


def write_photo(path, grey=0, size=(40, 30)):
    """A photo of (width, height) in one grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), grey, np.uint8))


def colmap_images(names):
    """id, quaternion w x y z, translation (camera from world), camera, name: along the x axis."""
    return [(n + 1, (1.0, 0, 0, 0), (-0.5 * n, 0.0, 0.0), 1, name) for n, name in enumerate(names)]


def write_colmap_txt(folder, camera, images, points=POINTS):
    """`cameras.txt`, `images.txt` and `points3D.txt` as COLMAP writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    number, model, width, height, parameters = camera
    words = " ".join(map(str, parameters))
    (folder / "cameras.txt").write_text(f"# list\n{number} {model} {width} {height} {words}\n")
    lines = ["# Image list with two lines of data per image:"]
    for number, quaternion, translation, camera_id, name in images:
        numbers = " ".join(map(str, (*quaternion, *translation)))
        lines += [f"{number} {numbers} {camera_id} {name}", "1.5 2.5 -1" if number % 2 else ""]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    rows = [f"{n} {x} {y} {z} 9 9 9 0.5 1 0 2 0" for n, (x, y, z) in enumerate(points)]
    (folder / "points3D.txt").write_text("# points\n" + "\n".join(rows) + "\n")


def write_colmap_bin(folder, camera, images, points=POINTS):
    """The same in binary."""
    folder.mkdir(parents=True, exist_ok=True)
    number, model, width, height, parameters = camera
    data = struct.pack("<QiiQQ", 1, number, MODEL_NUMBERS[model], width, height)
    data += struct.pack(f"<{len(parameters)}d", *parameters)
    (folder / "cameras.bin").write_bytes(data)
    data = struct.pack("<Q", len(images))
    for number, quaternion, translation, camera_id, name in images:
        data += struct.pack("<i7di", number, *quaternion, *translation, camera_id)
        data += name.encode() + b"\0" + struct.pack("<Qddq", 1, 1.5, 2.5, -1)
    (folder / "images.bin").write_bytes(data)
    data = struct.pack("<Q", len(points))
    for number, (x, y, z) in enumerate(points):
        data += struct.pack("<Q3d3BdQ4i", number, x, y, z, 9, 9, 9, 0.5, 2, 1, 0, 2, 0)
    (folder / "points3D.bin").write_bytes(data)


def write_colmap(folder, names=("a.png", "b.png"), camera=PINHOLE, write=write_colmap_bin):
    """A whole scene: photos in `images`, a model in `sparse/0`."""
    for number, name in enumerate(names):
        write_photo(folder / "images" / name, 10 * number)
    write(folder / "sparse" / "0", camera, colmap_images(names))
    return folder


def write_llff(folder, names=("a.png", "b.png"), bounds=(1.0, 9.0), size=(40, 30)):
    """Photos in `images` and `poses_bounds.npy`, cameras level along x and looking along +z.

    Camera axes in world coordinates: right x, down y, forward z; the file wants down, right, back.
    """
    rows = []
    for number, name in enumerate(names):
        write_photo(folder / "images" / name, 10 * number, size)
        columns = ([0, 1, 0], [1, 0, 0], [0, 0, -1], [0.5 * number, 0, 0], [30, 40, 35.0])
        rows.append([*np.array(columns, float).T.ravel(), *bounds])
    np.save(folder / "poses_bounds.npy", np.array(rows))
    return folder


def write_png(path, values, dtype=np.uint16):
    """A one-channel PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.asarray(values, dtype))


def write_replica(folder, numbers=(0, 1, 2), size=(8, 6)):
    """A sequence of Semantic-NeRF's Replica: a wall (class 93) 2 m ahead with chair 7 on it."""
    width, height = size
    instance = np.full((height, width), 3)
    instance[1:3, 1:4] = 7
    for number in numbers:
        write_photo(folder / "rgb" / f"rgb_{number}.png", 10 * number, size)
        write_png(folder / "depth" / f"depth_{number}.png", np.full((height, width), 2000))
        write_png(folder / "semantic_instance" / f"semantic_instance_{number}.png", instance)
        classes = np.where(instance == 7, 20, 93)
        write_png(folder / "semantic_class" / f"semantic_class_{number}.png", classes, np.uint8)
    poses = [np.eye(4) for _ in range(max(numbers) + 1)]
    for number, pose in enumerate(poses):
        pose[0, 3] = number / 10
    np.savetxt(folder / "traj_w_c.txt", [pose.ravel() for pose in poses])
    return folder


def write_scannet(folder, numbers=(0, 20, 40)):
    """Exported frames of a scene: colour 16 x 12, depth 8 x 6 of the same field of view."""
    for number in numbers:
        write_photo(folder / "color" / f"{number}.jpg", number, (16, 12))
        depth_mm = np.full((6, 8), 1500)
        depth_mm[0, 0] = 0
        write_png(folder / "depth" / f"{number}.png", depth_mm)
        (folder / "pose").mkdir(exist_ok=True)
        np.savetxt(folder / "pose" / f"{number}.txt", np.eye(4))
    (folder / "intrinsic").mkdir()
    for sensor, scale in (("color", 2), ("depth", 1)):
        matrix = np.diag([7.0 * scale, 7.0 * scale, 1, 1])
        matrix[:2, 2] = (8 * scale - 1) / 2, (6 * scale - 1) / 2
        np.savetxt(folder / "intrinsic" / f"intrinsic_{sensor}.txt", matrix)
    return folder
