"""The one place that asks what hardware and optional packages exist.

Everything else asks here, so that a missing part has one name, one test and one sentence that
says how to get it.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib
import importlib.util
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch

logger = logging.getLogger(__name__)

#: numba threading layers that survive two Python threads inside parallel kernels, best first.
SAFE_LAYERS = ("omp", "tbb")

#: CPU threads of this process, 0 = nobody has said.
_budget = 0

_TCNN_HELP = (
    "tiny-cuda-nn needs an NVIDIA GPU and a build of its torch bindings: pip install "
    "'git+https://github.com/NVlabs/tiny-cuda-nn/#subdirectory=bindings/torch'; "
    "without it set field.backend to 'numba'"
)
_NUMBA_HELP = (
    "numba needs libgomp or TBB: as root `apt-get install libgomp1`, or `pip install tbb`; "
    "without them set field.backend to 'torch'"
)
_RCLPY_HELP = (
    "rclpy comes with ROS 2: `source /opt/ros/$ROS_DISTRO/setup.bash`; without it use --graph dds"
)


@dataclass(frozen=True)
class Part:
    """One optional part of the machine: what it is called, whether it is here, how to get it."""

    name: str
    available: bool
    detail: str


def torch_device() -> torch.device:
    """The accelerator torch can use here, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_rclpy() -> bool:
    """Whether a ROS 2 Python client library can be imported."""
    return importlib.util.find_spec("rclpy") is not None


def has_tinycudann() -> bool:
    """Whether tiny-cuda-nn is installed and a GPU is there to run it."""
    return torch_device().type != "cpu" and importlib.util.find_spec("tinycudann") is not None


def tinycudann() -> ModuleType:
    """The tiny-cuda-nn bindings.

    Raises:
        RuntimeError: they are not installed, or there is no GPU; says how to get them.
    """
    if not has_tinycudann():
        raise RuntimeError(_TCNN_HELP)
    return importlib.import_module("tinycudann")


def has_numba() -> bool:
    """Whether numba can run parallel kernels from several threads at once."""
    return importlib.util.find_spec("numba") is not None and _safe_layer() is not None


def numba_threading_layer() -> str:
    """Chooses numba's threading layer, once, before the first parallel kernel runs.

    numba's own `workqueue` aborts the process when two threads enter parallel kernels, so it is
    never used.

    Returns:
        "omp" or "tbb".

    Raises:
        RuntimeError: neither can be loaded, or another layer already runs in this process.
    """
    import numba

    layer = _safe_layer()
    if layer is None:
        raise RuntimeError(_NUMBA_HELP)
    try:
        running = numba.threading_layer()
    except ValueError:  # no parallel kernel has run yet
        vars(numba.config)["THREADING_LAYER"] = layer  # a name that numba adds at run time
        return layer
    if running not in SAFE_LAYERS:
        raise RuntimeError(
            f"numba already runs on the {running!r} threading layer, which aborts when two "
            f"threads enter parallel kernels; expected one of {SAFE_LAYERS}"
        )
    return running


@functools.cache
def _safe_layer() -> str | None:
    for layer, module in (("omp", "omppool"), ("tbb", "tbbpool")):
        if layer == "tbb":
            _preload_tbb()
        try:
            importlib.import_module(f"numba.np.ufunc.{module}")
            return layer
        except ImportError as error:
            logger.debug("numba layer %s is not usable: %s", layer, error)
    return None


def _preload_tbb() -> None:
    """Loads pip's libtbb, which is not on the loader's path, so that numba finds it."""
    library = Path(sys.prefix) / "lib" / "libtbb.so.12"
    if library.exists():
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


def set_thread_budget(threads: int) -> int:
    """Gives torch and numba the same number of CPU threads, in this process from now on.

    Args:
        threads: at least 1; 0 = all cores this process may use.

    Returns:
        The budget in force.

    Raises:
        ValueError: a negative number.
    """
    if threads < 0:
        raise ValueError(f"thread budget must be >= 0, got {threads}")
    global _budget
    _budget = threads or _usable_cores()
    torch.set_num_threads(_budget)
    if has_numba():
        numba_threading_layer()
        keep_to_budget()
    return _budget


def keep_to_budget() -> None:
    """Holds the calling thread to numba's part of the budget; for whoever enters its kernels.

    That part belongs to each thread, and questions come in threads that others have started.
    """
    import numba

    most = vars(numba.config)["NUMBA_NUM_THREADS"]
    numba.set_num_threads(min(_budget or most, most))


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def release_memory() -> None:
    """Hands unused memory back: collects garbage, empties torch's cache and the C heap."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim_heap()


def trim_heap() -> None:
    """Hands the free pages of the C heap back, which otherwise grows with its holes.

    Big arrays of passing sizes leave holes that later ones do not fit in. Takes tens of ms.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own
    if trim is not None:
        trim(0)


def gpu_memory_mb() -> tuple[float, float] | None:
    """(used by everybody, present) of the GPU in MiB; None without one."""
    if not torch.cuda.is_available():
        return None
    free, total = torch.cuda.mem_get_info()
    return (total - free) / 2**20, total / 2**20


def encoder_backend(choice: str) -> str:
    """Resolves a config's encoder choice to what this machine has.

    Args:
        choice: "auto", "tcnn", "numba" or "torch".

    Returns:
        "tcnn", "numba" or "torch"; "auto" picks the fastest available.

    Raises:
        ValueError: an unknown choice.
        RuntimeError: the choice is not available; says how to get it.
    """
    available = {"tcnn": has_tinycudann, "numba": has_numba, "torch": lambda: True}
    if choice == "auto":
        on_gpu = torch_device().type != "cpu"
        order = ("tcnn", "torch") if on_gpu else ("numba", "torch")
        return next(name for name in order if available[name]())
    if choice not in available:
        raise ValueError(f"encoder backend must be auto or one of {[*available]}, got {choice!r}")
    if not available[choice]():
        raise RuntimeError({"tcnn": _TCNN_HELP, "numba": _NUMBA_HELP}[choice])
    return choice


def parts() -> list[Part]:
    """What this machine has, for `semantic-field doctor`."""
    device = torch_device()
    gpu = device.type != "cpu"
    name = torch.cuda.get_device_name(device) if gpu else "no GPU that torch can use; runs on CPU"
    numba_here, tcnn_here, ros_here = has_numba(), has_tinycudann(), has_rclpy()
    return [
        Part("torch", True, f"{torch.__version__}, {_usable_cores()} cores"),
        Part("gpu", gpu, name),
        Part("numba", numba_here, f"layer {_safe_layer()}" if numba_here else _NUMBA_HELP),
        Part("tinycudann", tcnn_here, "ready" if tcnn_here else _TCNN_HELP),
        Part("rclpy", ros_here, "ready" if ros_here else _RCLPY_HELP),
    ]
