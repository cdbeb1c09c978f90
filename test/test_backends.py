import os
import subprocess
import sys
import textwrap

import numpy as np
import psutil
import pytest
import torch

from semantic_field_ros import backends


def test_a_layer_that_survives_two_threads_is_chosen():
    assert backends.numba_threading_layer() in backends.SAFE_LAYERS


def test_workqueue_is_refused():
    code = """
        import numba
        numba.config.THREADING_LAYER = "workqueue"
        @numba.njit(parallel=True)
        def total(n):
            s = 0
            for i in numba.prange(n):
                s += i
            return s
        total(10)
        from semantic_field_ros import backends
        try:
            backends.numba_threading_layer()
        except RuntimeError as error:
            assert "workqueue" in str(error)
        else:
            raise SystemExit("workqueue was accepted")
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_two_threads_may_run_parallel_kernels():
    code = """
        import threading
        from semantic_field_ros import backends
        backends.set_thread_budget(2)
        import numba, numpy as np
        @numba.njit(parallel=True, nogil=True)
        def double(x):
            for i in numba.prange(len(x)):
                x[i] *= 2
        def work():
            backends.set_thread_budget(2)
            for _ in range(200):
                double(np.ones(1000))
        threads = [threading.Thread(target=work) for _ in range(3)]
        [t.start() for t in threads]
        [t.join() for t in threads]
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_thread_budget_reaches_torch_and_numba():
    import numba

    assert backends.set_thread_budget(1) == 1
    assert torch.get_num_threads() == 1
    assert numba.get_num_threads() == 1


@pytest.mark.skipif(not backends.has_numba(), reason="numba is not here")
def test_the_budget_holds_for_threads_that_others_start():
    """In a process of its own, because numba's pool is made once."""
    code = """
        import threading, numba, torch
        from semantic_field_ros import backends
        from semantic_field_ros.config import GridConfig
        from semantic_field_ros.field.encoders import make_encoder
        from semantic_field_ros.field.table_adam import TableAdam
        backends.set_thread_budget(1)
        encoder = make_encoder(GridConfig(levels=1, log2_entries=8), "numba")
        adam = TableAdam(encoder.table, 0.1)
        seen = []
        def question():
            encoder(torch.rand(4, 3)).sum().backward()
            seen.append(numba.get_num_threads())
        def step():
            adam.step()
            seen.append(numba.get_num_threads())
        for work in (question, step):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert seen == [1, 1], seen
    """
    environment = os.environ | {"NUMBA_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, env=environment)


def test_a_negative_budget_is_refused():
    with pytest.raises(ValueError, match=">= 0, got -1"):
        backends.set_thread_budget(-1)


def test_auto_picks_something_that_runs_here():
    choice = backends.encoder_backend("auto")
    assert backends.encoder_backend(choice) == choice


def test_unknown_backend_names_the_choices():
    with pytest.raises(ValueError, match="'tcnn', 'numba', 'torch'.*got 'jax'"):
        backends.encoder_backend("jax")


@pytest.mark.skipif(backends.has_tinycudann(), reason="tinycudann is here")
def test_missing_tinycudann_says_how_to_get_it():
    with pytest.raises(RuntimeError, match="pip install"):
        backends.tinycudann()


def test_every_part_has_a_sentence():
    parts = {part.name: part for part in backends.parts()}
    assert parts["torch"].available
    assert all(part.detail for part in parts.values())


def test_pages_between_what_is_still_in_use_are_handed_back():
    """What lies on top keeps the C heap from shrinking by itself."""
    pieces = [np.ones(100_000, np.uint8) for _ in range(2000)]
    top = pieces[-1]
    pieces.clear()
    before = psutil.Process().memory_info().rss
    backends.trim_heap()
    assert before - psutil.Process().memory_info().rss > 100e6
    assert top.all()
