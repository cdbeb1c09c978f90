import os
import subprocess
import sys
import time

import numpy as np
import pytest

from semantic_field_ros.evaluation.processes import Child, forget_peak_memory, peak_memory_mb


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (
        subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True).stdout[:1]
        != b"Z"
    )


def test_a_child_that_fails_says_why(tmp_path):
    arguments = ["query", "click", "--pixel", "1", "2", "--point", "1", "2", "3"]
    with Child("asker", arguments, tmp_path / "log", os.environ) as child:
        with pytest.raises(RuntimeError, match="(?s)asker ended with code 1; .* either --pixel"):
            for _ in range(600):
                child.check()
                time.sleep(0.1)


def test_a_child_that_ends_well_is_finished(tmp_path):
    with Child("helper", ["--help"], tmp_path / "log", os.environ) as child:
        while not child.finished():
            time.sleep(0.05)
        assert "semantic-field" in child.tail(60)


def test_leaving_the_block_in_any_way_ends_the_child(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with Child("slow", ["replay", "world:table:1"], tmp_path / "log", os.environ) as child:
            raise KeyboardInterrupt
    assert not is_alive(child.pid)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux")
def test_peak_memory_grows_and_never_shrinks():
    before = peak_memory_mb()
    block = np.ones(40_000_000, np.uint8)
    during = peak_memory_mb()
    del block
    # The kernel counts pages per thread and adds them up lazily: a megabyte more or less.
    assert during >= before - 1 and peak_memory_mb() >= during - 1
    assert peak_memory_mb(2**22 + 1) is None and sys.executable


def test_the_peak_of_memory_can_be_forgotten():
    held = bytearray(64_000_000)
    high = peak_memory_mb()
    del held
    if forget_peak_memory():
        assert peak_memory_mb() < high - 30
    else:
        assert peak_memory_mb() == high
