"""Point clouds and occupancy grids as messages: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.ros.messages import Make, pose_message
from semantic_field_ros.stream.messages import byte_array

#: numpy types of PointField datatypes 1 to 8.
_POINT_TYPES = ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")
_MAX_POINTS = 1 << 26


@dataclass(frozen=True)
class LabelledCloud:
    """N points as they travel in a PointCloud2.

    Attributes:
        points: (N, 3) f32 metres.
        rgb: (N, 3) u8.
        label: (N,) u32.
        score: (N,) f32 in [0, 1].
    """

    points: NDArray[np.float32]
    rgb: NDArray[np.uint8]
    label: NDArray[np.uint32]
    score: NDArray[np.float32]


#: x y z, colour packed into the bits of a float (PCL's convention, read by RViz), label, score.
_CLOUD = np.dtype(
    [
        ("x", "<f4"),
        ("y", "<f4"),
        ("z", "<f4"),
        ("rgb", "<u4"),
        ("label", "<u4"),
        ("score", "<f4"),
    ]
)
#: the same with normals (PCL's names) and nothing else.
_NORMALS = np.dtype(
    [(name, "<f4") for name in ("x", "y", "z", "normal_x", "normal_y", "normal_z")]
    + [("rgb", "<u4")]
)
_FLOAT32 = 7


def cloud_message(make: Make, header: Any, cloud: LabelledCloud) -> Any:
    """sensor_msgs/PointCloud2 with fields x y z rgb label score."""
    rows = np.empty(len(cloud.points), _CLOUD)
    for axis, name in enumerate("xyz"):
        rows[name] = cloud.points[:, axis]
    rows["rgb"] = _packed(cloud.rgb)
    rows["label"], rows["score"] = cloud.label, cloud.score
    return _rows_message(make, header, rows)


def normals_message(
    make: Make,
    header: Any,
    points: NDArray[np.floating],
    normals: NDArray[np.floating],
    rgb: NDArray[np.uint8],
) -> Any:
    """sensor_msgs/PointCloud2 with fields x y z normal_x normal_y normal_z rgb.

    Args:
        make: of the graph.
        header: std_msgs/Header.
        points, normals: (N, 3), metres and unit length.
        rgb: (N, 3).
    """
    rows = np.empty(len(points), _NORMALS)
    for axis, name in enumerate("xyz"):
        rows[name], rows[f"normal_{name}"] = points[:, axis], normals[:, axis]
    rows["rgb"] = _packed(rgb)
    return _rows_message(make, header, rows)


def _packed(rgb: NDArray[np.uint8]) -> NDArray[np.uint32]:
    red, green, blue = (rgb[:, i].astype(np.uint32) for i in range(3))
    return (red << 16 | green << 8 | blue).astype(np.uint32)


def _rows_message(make: Make, header: Any, rows: NDArray) -> Any:
    """PointCloud2 of a structured array with fields of 4 bytes."""
    names = rows.dtype.names or ()
    return make(
        "sensor_msgs/msg/PointCloud2",
        header=header,
        height=1,
        width=len(rows),
        fields=[_field(make, rows.dtype, name) for name in names],
        is_bigendian=False,
        point_step=rows.dtype.itemsize,
        row_step=rows.nbytes,
        data=rows.view(np.uint8).reshape(-1),
        is_dense=all(np.isfinite(rows[name]).all() for name in "xyz"),
    )


def cloud_from_message(message: Any) -> LabelledCloud:
    """Reads a PointCloud2; fields other than x y z may be missing and are 0 then.

    Raises:
        ValueError: no x y z, or lengths that do not fit together.
    """
    rows = _rows(message)
    names = rows.dtype.names or ()
    if not {"x", "y", "z"} <= set(names):
        raise ValueError(f"cloud must have fields x y z, got {names}")
    points = np.stack([rows[name].astype(np.float32) for name in "xyz"], axis=1)
    have = {name: rows[name] for name in ("rgb", "label", "score") if name in names}
    packed = np.ascontiguousarray(have.get("rgb", np.zeros(len(rows), "u4"))).view(np.uint32)
    rgb = np.stack([(packed >> shift & 255).astype(np.uint8) for shift in (16, 8, 0)], axis=1)
    label = have.get("label", np.zeros(len(rows))).astype(np.uint32)
    return LabelledCloud(
        points, rgb, label, have.get("score", np.zeros(len(rows))).astype(np.float32)
    )


def grid_message(
    make: Make,
    header: Any,
    cells: NDArray[np.int8],
    resolution_m: float,
    origin: NDArray[np.float64],
) -> Any:
    """nav_msgs/OccupancyGrid.

    Args:
        make: of the graph.
        header: std_msgs/Header.
        cells: (rows along y, columns along x), 0 to 100, -1 unknown.
        resolution_m: edge of a cell.
        origin: (2,) x, y of the corner of cell (0, 0), metres.
    """
    if cells.ndim != 2 or cells.dtype != np.int8 or cells.min(initial=0) < -1:
        raise ValueError(
            f"cells must be (rows, columns) int8 >= -1, got {cells.shape} {cells.dtype}"
        )
    corner = np.eye(4)
    corner[:2, 3] = origin[:2]
    info = make(
        "nav_msgs/msg/MapMetaData",
        map_load_time=header.stamp,
        resolution=float(resolution_m),
        width=cells.shape[1],
        height=cells.shape[0],
        origin=pose_message(make, corner),
    )
    return make("nav_msgs/msg/OccupancyGrid", header=header, info=info, data=cells.reshape(-1))


def _field(make: Make, layout: np.dtype, name: str) -> Any:
    # All fields have 4 bytes; the packed colour is declared as the float that others read it as.
    datatype = _FLOAT32 if name == "rgb" else _POINT_TYPES.index(layout[name].str[1:]) + 1
    offset = 4 * (layout.names or ()).index(name)
    return make("sensor_msgs/msg/PointField", name=name, offset=offset, datatype=datatype, count=1)


def _rows(message: Any) -> NDArray:
    """Structured array, one row per point."""
    order = ">" if message.is_bigendian else "<"
    known = [f for f in message.fields if f.count == 1 and 1 <= f.datatype <= len(_POINT_TYPES)]
    types = [order + _POINT_TYPES[f.datatype - 1] for f in known]
    count, data = message.width * message.height, byte_array(message.data)
    ends = [f.offset + np.dtype(kind).itemsize for f, kind in zip(known, types, strict=True)]
    dense = message.row_step == message.width * message.point_step
    fits = count <= _MAX_POINTS and data.size >= count * message.point_step
    if not fits or not dense or max(ends, default=0) > message.point_step:
        raise ValueError(
            f"cloud of {message.width}x{message.height} points of {message.point_step} bytes "
            f"must hold as many bytes without row padding, got {data.size}"
        )
    layout = np.dtype(
        {
            "names": [f.name for f in known],
            "formats": types,
            "offsets": [f.offset for f in known],
            "itemsize": message.point_step,
        }
    )
    return data[: count * message.point_step].view(layout)
