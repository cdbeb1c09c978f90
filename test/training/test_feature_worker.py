import time

import numpy as np

from semantic_field_ros.config import PyramidConfig
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.models.base import (
    Calibration,
    DenseModel,
    EmbeddingLayout,
    LanguageModel,
    Segmenter,
)
from semantic_field_ros.models.pyramid import PyramidBuilder
from semantic_field_ros.training.feature_worker import Extras, FeatureWorker, frame_features
from semantic_field_ros.types import MaskProposal, PinholeCamera, PosedFrame


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


def frame():
    camera = PinholeCamera(60, 40, 50.0, 50.0, 29.5, 19.5)
    return PosedFrame(1, "camera", camera, np.eye(4), np.full((40, 60, 3), 8, np.uint8))


def test_features_hold_no_more_than_is_asked_for():
    features = frame_features(frame(), LeftHalf(), OneAxis())
    assert len(features.proposals) == 1 and features.language.shape == (1, 4)
    assert features.pyramid is None and features.dense is None


def test_extras_add_a_pyramid_and_dense_features():
    extras = Extras(PyramidBuilder(OneAxis(), PyramidConfig(levels=2)), Brightness())
    features = frame_features(frame(), LeftHalf(), OneAxis(), extras)
    assert [level.side_px for level in features.pyramid.levels][-1] == 20
    assert features.dense.item() == 8


def test_tiles_that_were_left_out_are_counted():
    memory = ReplayMemory(8)
    builder = PyramidBuilder(OneAxis(), PyramidConfig(levels=2, budget_s=0.0))
    worker = FeatureWorker(
        memory, OneAxis(), LeftHalf(), lambda _: None, 8, 1, Extras(tiles=builder)
    )
    for _ in range(2):
        worker.submit(memory.add(frame()).keyframe_id)
    worker.start()
    deadline_s = time.monotonic() + 60
    while worker.status().done < 2 and time.monotonic() < deadline_s:
        time.sleep(0.01)
    worker.stop()
    held = [memory.features(view.keyframe_id).pyramid.left_out for view in memory.views()]
    assert worker.status().tiles_left_out == sum(held) > 0
