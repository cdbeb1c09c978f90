"""What this machine has, what is missing, and how to get it."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from semantic_field_ros import backends
from semantic_field_ros.ros.dds_environment import SOCKET_BYTES

_OLDEST_PYTHON = (3, 10)
#: Debian and Ubuntu packages that hold what open3d and numba load; `make` installs them too.
_LIBRARIES = "libegl1 libgl1 libgomp1 libidn2-0 libudev1 libusb-1.0-0 libx11-6"
_LINUX_LIMIT = Path("/proc/sys/net/core/rmem_max")
#: distribution, module to import, what to do when it does not import.
_NEEDED = (
    ("numpy", "numpy", "pip install -e ."),
    ("scipy", "scipy", "pip install -e ."),
    ("opencv", "cv2", "pip install -e ."),
    ("open3d", "open3d", f"as root `apt-get install -y {_LIBRARIES}`; pip install -e ."),
    ("segment-anything", "segment_anything", "pip install -e ."),
    ("open_clip", "open_clip", "pip install -e ."),
    ("rosbags", "rosbags", "pip install -e ."),
    ("cyclonedds", "cyclonedds.domain", "pip install cyclonedds; rclpy works without it"),
)


@dataclass(frozen=True)
class Finding:
    """One part of the machine.

    Attributes:
        name: what it is called.
        available: whether it can be used.
        needed: whether the main job stops without it.
        detail: version, or how to get it.
    """

    name: str
    available: bool
    needed: bool
    detail: str

    @property
    def is_needed_and_gone(self) -> bool:
        """Whether something must be done."""
        return self.needed and not self.available


def examine() -> list[Finding]:
    """Looks at everything that the package can use, and starts it once.

    The first start compiles for half a minute; no later one has to.
    """
    findings = [_python(), *(_module(*entry) for entry in _NEEDED)]
    findings += [
        Finding(part.name, part.available, part.name == "torch", part.detail)
        for part in backends.parts()
    ]
    return [*findings, _bundled_models(), _cv_bridge(), socket_room(_LINUX_LIMIT), _start()]


def _python() -> Finding:
    fine = sys.version_info >= _OLDEST_PYTHON
    detail = f"{platform.python_version()} on {platform.machine()}"
    return Finding("python", fine, True, detail if fine else f"{detail}; 3.10 or newer is needed")


def _module(name: str, module: str, advice: str) -> Finding:
    try:
        found = importlib.import_module(module)
    except (ImportError, OSError) as error:
        return Finding(name, False, True, f"{error}; {advice}")
    return Finding(name, True, True, str(getattr(found, "__version__", "") or "ready"))


def _bundled_models() -> Finding:
    folder = Path(__file__).parent / "models" / "tiny" / "weights"
    weights = sorted(path.name for path in folder.glob("*.safetensors"))
    if len(weights) < 2:
        advice = (
            f"expected two files in {folder}, got {len(weights)}; they come with the repository, "
            "or name other models in the config (models.language, models.segmenter)"
        )
        return Finding("bundled models", False, True, advice)
    return Finding("bundled models", True, True, ", ".join(weights))


def _cv_bridge() -> Finding:
    """A cv_bridge built for NumPy 1 crashes under NumPy 2; the package does without it."""
    numpy_major = int(importlib.metadata.version("numpy").split(".")[0])
    try:
        importlib.import_module("cv_bridge")
    except ImportError:
        return Finding("cv_bridge", False, False, "not there, and not needed")
    except (AttributeError, SystemError) as error:
        detail = (
            f"built for another NumPy than {numpy_major} ({error}); this package does not use it"
        )
        return Finding("cv_bridge", False, False, detail)
    return Finding("cv_bridge", True, False, f"works with NumPy {numpy_major}; not needed")


def socket_room(limit: Path) -> Finding:
    """Whether images that come in one burst fit into a socket; a file of Linux says how much does.

    What does not fit is lost unless it is asked for again.
    """
    name = "socket buffers"
    if not limit.exists():
        return Finding(name, True, False, "not limited")
    room = int(limit.read_text())
    if room >= SOCKET_BYTES:
        return Finding(name, True, False, f"up to {room} bytes")
    advice = (
        f"at most {room} bytes: bursts of big images over DDS may lose some; "
        f"`sudo sysctl -w net.core.rmem_max={SOCKET_BYTES}`, or the parameter `reliable:=true`"
    )
    return Finding(name, False, False, advice)


def _start() -> Finding:
    started_s = time.monotonic()
    try:
        from semantic_field_ros.engine import SemanticField

        with SemanticField():
            detail = f"a map can begin after {time.monotonic() - started_s:.1f} s"
    except Exception as error:  # of any of the packages, which say it in many ways
        return Finding("mapping", False, True, f"{type(error).__name__}: {error}")
    return Finding("mapping", True, True, detail)
