"""The first frame of a robot must not wait for a compiler."""

import subprocess
import sys

import pytest

from semantic_field_ros import backends

#: in a process of its own, because other tests have compiled everything in this one.
MAP_AND_ASK = """
import itertools, time
import numpy as np
from numba.core.dispatcher import Dispatcher
from semantic_field_ros.config import Config
from semantic_field_ros.engine import SemanticField
from semantic_field_ros.field import numba_kernels, surface_kernels
from semantic_field_ros.queries import visibility
from semantic_field_ros.queries.base import ClickQuery, TextQuery
from semantic_field_ros.stream.synthetic import SyntheticSource

def compiled():
    return {
        name: len(kernel.signatures)
        for module in (numba_kernels, surface_kernels, visibility)
        for name, kernel in vars(module).items()
        if isinstance(kernel, Dispatcher)
    }

frames = list(itertools.islice(SyntheticSource("table", 7), 0, 80, 8))
with SemanticField(Config()) as field:
    at_start = compiled()
    for frame in frames:
        field.ingest(frame)
    while field.surface() is None:
        time.sleep(0.05)
    field.query_text(TextQuery("mug"))
    field.query_click(ClickQuery(pixels=np.array([[160, 120]], np.float32)))
    assert compiled() == at_start, (at_start, compiled())
    print(sum(at_start.values()))
"""


@pytest.mark.skipif(not backends.has_numba(), reason="numba is not there")
def test_nothing_is_compiled_once_frames_arrive():
    done = subprocess.run(
        [sys.executable, "-c", MAP_AND_ASK], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 8
