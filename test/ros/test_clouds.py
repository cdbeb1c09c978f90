"""PointCloud2 and OccupancyGrid."""

import numpy as np
import pytest

from semantic_field_ros.ros.clouds import (
    LabelledCloud,
    cloud_from_message,
    cloud_message,
    grid_message,
)
from semantic_field_ros.ros.dds_types import Types
from semantic_field_ros.ros.messages import header_message

make = Types().message
HEADER = header_message(make, "map", 0)


def cloud(count: int) -> LabelledCloud:
    rng = np.random.default_rng(count)
    return LabelledCloud(
        rng.normal(size=(count, 3)).astype(np.float32),
        rng.integers(0, 256, (count, 3), np.uint8),
        rng.integers(0, 9, count).astype(np.uint32),
        rng.random(count, np.float32),
    )


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_clouds_come_back(count: int) -> None:
    sent = cloud(count)
    message = cloud_message(make, HEADER, sent)
    assert [field.name for field in message.fields] == ["x", "y", "z", "rgb", "label", "score"]
    assert (message.width, message.point_step, len(message.data)) == (count, 24, 24 * count)
    received = cloud_from_message(message)
    for name in ("points", "rgb", "label", "score"):
        np.testing.assert_array_equal(getattr(received, name), getattr(sent, name))


def test_colour_is_packed_as_pcl_does() -> None:
    one = LabelledCloud(
        np.zeros((1, 3), np.float32),
        np.array([[1, 2, 3]], np.uint8),
        np.zeros(1, np.uint32),
        np.zeros(1, np.float32),
    )
    message = cloud_message(make, HEADER, one)
    field = next(field for field in message.fields if field.name == "rgb")
    assert (field.offset, field.datatype, field.count) == (12, 7, 1)
    assert bytes(message.data[12:16]) == bytes([3, 2, 1, 0])


def test_other_layouts_are_read() -> None:
    layout = np.dtype({"names": ["z", "y", "x"], "formats": [">f8"] * 3, "itemsize": 32})
    rows = np.zeros(2, layout)
    rows["x"], rows["y"], rows["z"] = [1, 2], [3, 4], [5, 6]
    fields = [
        make("sensor_msgs/msg/PointField", name=name, offset=8 * i, datatype=8, count=1)
        for i, name in enumerate("zyx")
    ]
    message = make(
        "sensor_msgs/msg/PointCloud2",
        height=1,
        width=2,
        fields=fields,
        is_bigendian=True,
        point_step=32,
        row_step=64,
        data=rows.tobytes(),
    )
    np.testing.assert_array_equal(cloud_from_message(message).points, [[1, 3, 5], [2, 4, 6]])


@pytest.mark.parametrize(
    "change",
    [{"width": 11}, {"point_step": 8}, {"row_step": 1}, {"height": 4_000_000_000}, {"fields": []}],
)
def test_clouds_that_do_not_add_up_are_refused(change: dict) -> None:
    message = cloud_message(make, HEADER, cloud(10))
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(ValueError, match="cloud"):
        cloud_from_message(message)


def test_grids_have_their_origin_and_rows_along_y() -> None:
    cells = np.array([[0, 100, -1], [1, 2, 3]], np.int8)
    message = grid_message(make, HEADER, cells, 0.05, np.array([-1.0, 2.0]))
    assert (message.info.width, message.info.height) == (3, 2)
    assert (message.info.origin.position.x, message.info.origin.position.y) == (-1.0, 2.0)
    assert list(message.data) == [0, 100, -1, 1, 2, 3]
    with pytest.raises(ValueError, match="int8"):
        grid_message(make, HEADER, cells.astype(int), 0.05, np.zeros(2))
