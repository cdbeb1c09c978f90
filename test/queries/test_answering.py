"""What an answer holds on to while keyframes come and go."""

import numpy as np

from semantic_field_ros.config import Config
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.queries.answering import Answering
from semantic_field_ros.types import FrameFeatures, PinholeCamera, PosedFrame


def test_a_keyframe_that_is_evicted_amid_a_question_is_decoded_all_the_same() -> None:
    camera, memory = PinholeCamera(8, 6, 7.0, 7.0, 3.5, 2.5), ReplayMemory(6)
    frame = PosedFrame(1, "camera", camera, np.eye(4), np.zeros((6, 8, 3), np.uint8))
    embedding, nothing = np.ones((2, 3, 3), np.float16), np.zeros((0, 4), np.float16)
    looked_at, _ = memory.add(frame), memory.add(frame)
    assert memory.set_features(looked_at.keyframe_id, FrameFeatures(embedding, (), nothing))
    answering = Answering(Config(), None, None, memory, {})  # type: ignore[arg-type]
    (view,) = answering._sight(None, refine=False).views  # type: ignore[arg-type]
    memory.clear()
    np.testing.assert_array_equal(view.embedding(), embedding)
    assert view.depth_m() is None and view.ignored() is None
