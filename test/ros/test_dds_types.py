"""Types without ROS: hashes as rosidl publishes them, CDR as ROS writes it, damage refused."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semantic_field_ros.ros.dds_types import Types
from semantic_field_ros.ros.dds_wire import WireError


@pytest.fixture(scope="module")
def types() -> Types:
    return Types("jazzy")


# As rosidl_generator_type_description of ROS 2 Jazzy computes them.
PUBLISHED_HASHES = {
    "std_msgs/msg/String": "df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18",
    "rmw_dds_common/msg/ParticipantEntitiesInfo": (
        "91a0593bacdcc50ea9bdcf849a938b128412cc1ea821245c663bcd26f83c295e"
    ),
    "std_srvs/srv/Trigger": "eeff2cd6fa5ad9d27cdf4dec64818317839b62f212a91e6b5304b634b2062c5f",
    "std_srvs/srv/SetBool": "abe9e4bb6b41b40e6789712c00ec8871923e089af3f667a79992a428cff2da0a",
    "rcl_interfaces/srv/SetParameters": (
        "56eed9a67e169f9cb6c1f987bc88f868c14a8fc9f743a263bc734c154015d7e0"
    ),
    "tf2_msgs/msg/TFMessage": "e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087",
    "vision_msgs/msg/Detection3DArray": (
        "793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018"
    ),
    "sensor_msgs/msg/Image": "d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47",
}


@pytest.mark.parametrize("name", PUBLISHED_HASHES)
def test_hashes_are_the_published_ones(types: Types, name: str) -> None:
    assert types.type_hash(name) == f"RIHS01_{PUBLISHED_HASHES[name]}"


def test_humble_has_no_hashes_and_long_gids() -> None:
    humble = Types("humble")
    assert (humble.type_hash("std_msgs/msg/String"), humble.gid_bytes) == ("", 24)
    assert len(humble.message("rmw_dds_common/msg/Gid").data) == 24


def test_an_unknown_distribution_is_taken_for_jazzy() -> None:
    assert Types("rolling").distro == "jazzy"


def test_cdr_is_what_the_standard_says(types: Types) -> None:
    message = types.message("std_msgs/msg/String", data="hi")
    # little endian header, length with the closing zero, characters, zero
    assert bytes(types.encode(message)) == b"\0\x01\0\0\x03\0\0\0hi\0"


def test_big_endian_is_read(types: Types) -> None:
    point = types.decode(b"\0\0\0\0" + np.array([1.5, -2, 3], ">f8").tobytes(), POINT)
    assert (point.x, point.y, point.z) == (1.5, -2.0, 3.0)


POINT = "geometry_msgs/msg/Point"
IMAGE = "sensor_msgs/msg/Image"


def image_cdr(types: Types) -> bytes:
    pixels = np.arange(60, dtype=np.uint8)
    message = types.message(IMAGE, height=4, width=5, step=15, encoding="rgb8", data=pixels)
    return bytes(types.encode(message))


def test_every_truncation_is_refused(types: Types) -> None:
    whole = image_cdr(types)
    for length in range(len(whole) - 4):
        with pytest.raises(WireError, match=r"Image|header"):
            types.decode(whole[:length], IMAGE)


def test_absurd_lengths_are_refused_without_allocating(types: Types) -> None:
    whole = bytearray(image_cdr(types))
    at = len(whole) - 60 - 4
    assert whole[at : at + 4] == b"\x3c\0\0\0"
    whole[at : at + 4] = b"\xff\xff\xff\x7f"
    with pytest.raises(WireError):
        types.decode(bytes(whole), IMAGE)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    noise=st.binary(max_size=200),
    swaps=st.lists(st.tuples(st.integers(4, 95), st.integers(0, 255)), max_size=6),
)
def test_noise_is_refused_or_read_but_never_more(noise: bytes, swaps: list) -> None:
    types = _shared()
    whole = bytearray(image_cdr(types))
    for at, byte in swaps:
        whole[at % len(whole)] = byte
    for cdr in (b"\0\x01\0\0" + noise, bytes(whole)):
        for name in (IMAGE, "semantic_field_ros/srv/QueryClick_Request", "tf2_msgs/msg/TFMessage"):
            try:
                types.decode(cdr, name)
            except WireError as error:
                assert name in str(error)


_cache: list[Types] = []


def _shared() -> Types:
    if not _cache:
        _cache.append(Types("jazzy"))
    return _cache[0]


def test_arrays_may_be_lists_bytes_or_numpy(types: Types) -> None:
    for data in ([1, 2, 3], b"\1\2\3", np.array([1, 2, 3])):
        assert types.message(IMAGE, data=data).data.dtype == np.uint8
    with pytest.raises(TypeError, match="9 values, got 4"):
        types.message("sensor_msgs/msg/CameraInfo", k=[1, 2, 3, 4])


def test_a_field_of_the_wrong_type_is_named(types: Types) -> None:
    with pytest.raises(TypeError, match="std_msgs/msg/String"):
        types.encode(types.message("std_msgs/msg/String", data=3))
    with pytest.raises(ValueError, match="no_msgs/msg/Nothing"):
        types.message("no_msgs/msg/Nothing")


def test_empty_services_have_the_byte_that_rosidl_puts_there(types: Types) -> None:
    request = types.message("std_srvs/srv/Trigger_Request")
    assert bytes(types.encode(request)) == b"\0\x01\0\0\0"
