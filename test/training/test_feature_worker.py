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


def frames_of(count, first=0):
    """Each of another grey, its number."""
    camera = PinholeCamera(60, 40, 50.0, 50.0, 29.5, 19.5)
    for number in range(first, first + count):
        pose = np.eye(4)
        pose[0, 3] = number
        grey = np.full((40, 60, 3), number, np.uint8)
        yield PosedFrame(number, "camera", camera, pose, grey)


class WatchedMemory(ReplayMemory):
    """Counts how often it is asked for all of its keyframes."""

    looks = 0

    def views(self):
        self.looks += 1
        return super().views()


def test_keyframes_that_lost_their_place_get_their_turn_when_nobody_waits():
    """Twelve before the thread begins, of which eight find room; newest first all the same."""
    memory, arrived = WatchedMemory(20), []
    worker = feature_worker(memory, ImageModels(OneAxis(), LeftHalf()), arrived.append)
    for picture in frames_of(12):
        worker.submit(memory.add(picture).keyframe_id)
    assert (worker.status().backlog, worker.status().dropped) == (12, 4)
    worker.start()
    try:
        wait_for(lambda: worker.status().done == 12)
        assert arrived == list(range(11, -1, -1))
        wait_for(lambda: worker._catches_up_at_s == np.inf)
        looks = memory.looks
        time.sleep(0.6)  # long enough for a look whether a view is to be imagined
        assert memory.looks == looks
        assert (worker.status().backlog, worker.status().dropped) == (0, 4)
    finally:
        worker.stop()


def test_what_was_evicted_meanwhile_gets_no_turn():
    memory, arrived = ReplayMemory(10), []
    worker = feature_worker(memory, ImageModels(OneAxis(), LeftHalf()), arrived.append)
    for picture in frames_of(30):
        worker.submit(memory.add(picture).keyframe_id)
    held = {view.keyframe_id for view in memory.views()}
    in_line = set(range(22, 30))
    assert held - in_line and in_line - held  # some without a place are held, some with one not
    worker.start()
    try:
        wait_for(lambda: not worker.status().backlog and worker.status().done == len(held))
        assert set(arrived) == held
        assert worker.status().dropped == 22 + len(in_line - held)
    finally:
        worker.stop()


def test_keyframes_that_came_with_a_map_all_stand_in_line():
    memory = ReplayMemory(20)
    worker = feature_worker(memory, ImageModels(OneAxis(), LeftHalf()))
    memory.restore([Keyframe(i, picture) for i, picture in enumerate(frames_of(12))])
    assert worker.status().backlog == 0
    worker.catch_up()
    assert worker.status().backlog == 12
    worker.start()
    try:
        wait_for(lambda: worker.status().done == 12)
        assert (worker.status().backlog, worker.status().dropped) == (0, 0)
    finally:
        worker.stop()


def test_nothing_is_begun_while_one_map_takes_the_place_of_another():
    memory = ReplayMemory(20)
    worker = feature_worker(memory, ImageModels(OneAxis(), LeftHalf()))
    for picture in frames_of(12):
        worker.submit(memory.add(picture).keyframe_id)
    worker.clear()
    worker.start()
    try:
        time.sleep(0.5)
        assert (worker.status().done, worker.status().backlog) == (0, 0)
        worker.catch_up()
        wait_for(lambda: worker.status().done == 12)
    finally:
        worker.stop()


class Fussy(LeftHalf):
    """Fails on some greys, so many times, and writes down what it looks at."""

    def __init__(self, failures):
        self.failures, self.looked_at = failures, []

    def propose(self, embedding, image):
        grey = int(image[0, 0, 0])
        if image.shape == (40, 60, 3):  # the warm-up looks at a larger one
            self.looked_at.append(grey)
        if self.failures.get(grey, 0):
            self.failures[grey] -= 1
            raise ValueError("no mood")
        return super().propose(embedding, image)


def test_a_keyframe_on_which_a_model_failed_is_looked_at_once_more_and_no_oftener(monkeypatch):
    """The second of three always fails, the third once: both wait for the first."""
    monkeypatch.setattr("semantic_field_ros.training.feature_worker.REST_S", 0.2)
    memory, fussy, arrived = WatchedMemory(8), Fussy({2: 99, 3: 1}), []
    worker = feature_worker(memory, ImageModels(OneAxis(), fussy), arrived.append)
    for picture in frames_of(3, first=1):
        worker.submit(memory.add(picture).keyframe_id)
    worker.start()
    try:
        wait_for(lambda: worker.status().backlog == 0 and worker._in_hand is None)
        assert fussy.looked_at == [3, 2, 1, 3, 2]
        assert arrived == [0, 2]
        assert (worker.status().done, worker.status().failed, worker.status().dropped) == (2, 2, 0)
        wait_for(lambda: worker._catches_up_at_s == np.inf)
        looks = memory.looks
        time.sleep(0.6)
        assert len(fussy.looked_at) == 5 and memory.looks == looks
    finally:
        worker.stop()


def wait_for(condition):
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.01)
