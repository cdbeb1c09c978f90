import threading
import time

import numpy as np
import pytest

from semantic_field_ros.config import ImaginationConfig, PyramidConfig, TrainingConfig
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.models.base import (
    Calibration,
    DenseModel,
    EmbeddingLayout,
    LanguageModel,
    Segmenter,
)
from semantic_field_ros.models.pyramid import PyramidBuilder
from semantic_field_ros.training.feature_worker import FeatureWorker
from semantic_field_ros.training.image_models import ImageModels
from semantic_field_ros.training.imagination import Imagination
from semantic_field_ros.training.worker import TrainingWorker
from semantic_field_ros.types import Keyframe, MaskProposal, PinholeCamera, PosedFrame


class OneAxis(LanguageModel):
    """Everything is the same."""

    dim = 4
    calibration = Calibration()
    crop_px = 8

    def encode_crops(self, images):
        return np.tile(np.eye(1, 4, dtype=np.float32), (len(images), 1))

    def encode_text(self, phrases):
        return self.encode_crops(phrases)


class LeftHalf(Segmenter):
    """Proposes the left half of every image."""

    def layout(self, image_size):
        return EmbeddingLayout(1, 1, (1, 1))

    def embed(self, image):
        return np.zeros((1, 1, 1), np.float16)

    def decode(self, embedding, image_size, prompts):
        return []

    def propose(self, embedding, image):
        mask = np.zeros(image.shape[:2], bool)
        mask[:, : mask.shape[1] // 2] = True
        return (MaskProposal.from_mask(mask, 0.9),)


class Brightness(DenseModel):
    """The mean of the image, as one cell."""

    dim = 1

    def features(self, image):
        return np.full((1, 1, 1), image.mean(), np.float16)


def feature_worker(memory, models, arrived=lambda keyframe_id: None):
    """Beside training that never begins."""
    idle = TrainingWorker(memory, lambda: None, TrainingConfig())
    imagination = Imagination(ImaginationConfig(), memory, idle)
    return FeatureWorker(memory, models, imagination, arrived, 8)


def frame():
    camera = PinholeCamera(60, 40, 50.0, 50.0, 29.5, 19.5)
    return PosedFrame(1, "camera", camera, np.eye(4), np.full((40, 60, 3), 8, np.uint8))


@pytest.mark.parametrize(("sees_px", "gets_px"), [(64, 128), (224, 224)])
def test_a_region_is_not_shrunk_below_what_the_language_model_sees(sees_px, gets_px):
    sides = []

    class Watching(OneAxis):
        crop_px = sees_px

        def encode_crops(self, images):
            sides.extend(np.asarray(image).shape for image in images)
            return super().encode_crops(images)

    ImageModels(Watching(), LeftHalf()).features(frame().rgb)
    assert sides == [(gets_px, gets_px, 3)]


def test_features_hold_no_more_than_is_asked_for():
    features = ImageModels(OneAxis(), LeftHalf()).features(frame().rgb)
    assert len(features.proposals) == 1 and features.language.shape == (1, 4)
    assert features.pyramid is None and features.dense is None and features.depths == ()


def test_a_pyramid_and_dense_features_are_added_where_they_are_wanted():
    tiles = PyramidBuilder(OneAxis(), PyramidConfig(levels=2))
    models = ImageModels(OneAxis(), LeftHalf(), tiles=tiles, dense=Brightness())
    features = models.features(frame().rgb)
    assert [level.side_px for level in features.pyramid.levels][-1] == 20
    assert features.dense.item() == 8


def test_no_proposal_holds_what_is_ignored():
    ignored = np.zeros((40, 60), bool)
    ignored[30:] = True
    (proposal,) = ImageModels(OneAxis(), LeftHalf()).features(frame().rgb, ignored).proposals
    np.testing.assert_array_equal(proposal.mask().sum(axis=1), [30] * 30 + [0] * 10)
    assert proposal.box_px == (0, 0, 29, 29) and proposal.score == 0.9


def test_a_proposal_that_is_mostly_ignored_is_none():
    ignored = np.zeros((40, 60), bool)
    ignored[:, :20] = True
    features = ImageModels(OneAxis(), LeftHalf()).features(frame().rgb, ignored)
    assert features.proposals == () and features.language.shape == (0, 4)


def test_tiles_that_were_left_out_are_counted():
    memory = ReplayMemory(8)
    models = ImageModels(
        OneAxis(),
        LeftHalf(),
        tiles=PyramidBuilder(OneAxis(), PyramidConfig(levels=2, budget_s=0.0)),
    )
    worker = feature_worker(memory, models)
    for _ in range(2):
        worker.submit(memory.add(frame()).keyframe_id)
    worker.start()
    try:
        wait_for(lambda: worker.status().done == 2)
    finally:
        worker.stop()
    held = [memory.features(view.keyframe_id).pyramid.left_out for view in memory.views()]
    assert worker.status().tiles_left_out == sum(held) > 0


class Slow(LeftHalf):
    """Looks at an image when it is let, and tells when it has begun."""

    def __init__(self):
        self.begun = threading.Semaphore(0)
        self.let = threading.Semaphore(1)  # the warm-up may pass

    def wait_for_first(self):
        """Until the first image after the warm-up is being looked at."""
        for _ in ("the warm-up", "the first"):
            assert self.begun.acquire(timeout=60)

    def propose(self, embedding, image):
        self.begun.release()
        assert self.let.acquire(timeout=60)
        return super().propose(embedding, image)


def test_a_pause_comes_after_the_keyframe_in_hand_and_the_others_wait():
    memory, slow, arrived = ReplayMemory(8), Slow(), []
    worker = feature_worker(memory, ImageModels(OneAxis(), slow), arrived.append)
    ids = [memory.add(frame()).keyframe_id for _ in range(3)]
    worker.start()
    try:
        for keyframe_id in ids:
            worker.submit(keyframe_id)
        slow.wait_for_first()
        threading.Timer(0.2, slow.let.release, [3]).start()
        worker.pause()
        assert len(arrived) == 1
        assert not slow.begun.acquire(timeout=0.3)
        assert (worker.status().done, worker.status().backlog) == (1, 2)
        worker.resume()
        wait_for(lambda: len(arrived) == 3)
        assert sorted(arrived) == ids
    finally:
        slow.let.release(3)
        worker.stop()


def test_what_comes_out_for_a_keyframe_of_the_map_before_is_nobodys():
    memory, slow, arrived = ReplayMemory(8), Slow(), []
    worker = feature_worker(memory, ImageModels(OneAxis(), slow), arrived.append)
    worker.start()
    try:
        worker.submit(memory.add(frame()).keyframe_id)
        slow.wait_for_first()
        worker.clear()
        memory.restore([Keyframe(0, frame())])
        slow.let.release()
        worker.submit(0)
        assert slow.begun.acquire(timeout=60)  # the first has come out
        assert memory.features(0) is None and arrived == []
        slow.let.release()
        wait_for(lambda: arrived == [0])
        assert memory.features(0) is not None and worker.status().done == 1
    finally:
        slow.let.release()
        worker.stop()


def test_features_that_come_after_their_keyframe_has_gone_are_counted():
    memory, slow, arrived = ReplayMemory(5), Slow(), []
    worker = feature_worker(memory, ImageModels(OneAxis(), slow), arrived.append)
    early = [memory.add(frame()).keyframe_id for _ in range(2)]
    worker.start()
    try:
        for keyframe_id in early:
            worker.submit(keyframe_id)
        slow.wait_for_first()
        for _ in range(8):  # both go while the newer one is looked at, the other while it waits
            memory.add(frame())
        slow.let.release()
        wait_for(lambda: worker.status().dropped == 2)
        assert arrived == [] and (worker.status().done, worker.status().backlog) == (0, 0)
    finally:
        slow.let.release()
        worker.stop()


class Moody(LeftHalf):
    """Fails now and then."""

    fault = None

    def propose(self, embedding, image):
        if self.fault is not None:
            raise self.fault
        return super().propose(embedding, image)


def test_a_failure_is_told_until_a_keyframe_gets_features_again():
    memory, moody = ReplayMemory(8), Moody()
    worker = feature_worker(memory, ImageModels(OneAxis(), moody))
    moody.fault = ValueError("no mood")
    worker.start()
    try:
        worker.submit(memory.add(frame()).keyframe_id)
        wait_for(lambda: worker.status().error == "ValueError: no mood")
        moody.fault = None
        worker.submit(memory.add(frame()).keyframe_id)
        wait_for(lambda: worker.status().done == 1)
        assert (worker.status().failed, worker.status().error) == (1, "")
    finally:
        worker.stop()


def wait_for(condition):
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.01)
