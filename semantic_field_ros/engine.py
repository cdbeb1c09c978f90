"""`SemanticField`: maps, answers and saves; front ends reach a map through it alone."""

from __future__ import annotations

import atexit
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros import backends
from semantic_field_ros.config import Config, ObjectFieldConfig, QueriesConfig
from semantic_field_ros.export.exporter import Exporter
from semantic_field_ros.export.grasping import GraspPlan, GraspQuery, answer_grasps
from semantic_field_ros.export.navigation import Navigation
from semantic_field_ros.export.zones import pack_zones, unpack_zones
from semantic_field_ros.keyframes.memory import KeyframeView, ReplayMemory
from semantic_field_ros.keyframes.selection import Decision, KeyframeSelector
from semantic_field_ros.models.base import LanguageModel, Prompts, Segmenter
from semantic_field_ros.models.registry import load_language_model, load_segmenter
from semantic_field_ros.queries.answering import Answering
from semantic_field_ros.queries.base import (
    Classification,
    ClickQuery,
    Progress,
    TextQuery,
    ViewMask,
    unwatched,
)
from semantic_field_ros.stream.frames import check_frame, narrowed
from semantic_field_ros.training.checkpoint import SavedMap, load_map, save_map
from semantic_field_ros.training.feature_worker import FeatureWorker
from semantic_field_ros.training.imagination import Imagination
from semantic_field_ros.training.map_builder import MapBuilder
from semantic_field_ros.training.map_keeper import MapKeeper
from semantic_field_ros.training.mapper import Mapper
from semantic_field_ros.training.rehearsal import rehearse
from semantic_field_ros.training.saved_map import MapState, map_state, pack_map
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.training.status import memory_status, snapshot_status, work_status
from semantic_field_ros.training.worker import TrainingWorker
from semantic_field_ros.types import Mask3D, PinholeCamera, PosedFrame, QueryAnswer, SurfaceCloud

#: seconds that saving, loading and the like wait for the step under way.
PATIENCE_S = 120.0


class SemanticField:
    """A map that learns from posed frames and answers questions, all in metres in the map frame.

    Every method may be called from any thread. Nothing trains before `start`.

    Args:
        config: everything it can be told.
        language, segmenter: used instead of those that the config names.

    Attributes:
        map_frame: name of the frame that every map must be in, and is saved with; empty = any.
        navigation: costmap, keep-out zones and goals of the newest map.
        versions: of its maps; a field that follows another one goes on from its newest.
    """

    def __init__(
        self,
        config: Config | None = None,
        language: LanguageModel | None = None,
        segmenter: Segmenter | None = None,
    ) -> None:
        config = self.config = config or Config()
        backends.set_thread_budget(config.training.threads)
        self._language = language or load_language_model(config.models.language)
        self._segmenter = segmenter or load_segmenter(config.models.segmenter)
        keyframes = config.keyframes
        memory = self._memory = ReplayMemory(keyframes.capacity, keyframes.recent_share)
        self._selector = KeyframeSelector(keyframes)
        self._refused = Counter[str]()
        self._ingest_lock = threading.Lock()
        self._build = MapBuilder(config, self._language, self._segmenter, memory)
        self._worker = TrainingWorker(memory, self._build.first, config.training)
        self.versions = self._worker.versions
        self._features = FeatureWorker(
            memory,
            self._build.image_models(),
            Imagination(config.imagination, memory, self._worker, config.training.seed),
            self._worker.features_arrived,
            config.models.queue,
        )
        self._scales: dict[str, float] = {}
        self.map_frame = self._loaded_frame = ""
        self._answering = Answering(config, self._language, self._segmenter, memory, self._scales)
        self.navigation = Navigation(config.navigation, memory, self._snapshot)
        self._exporter = Exporter(memory, self._answering)
        version, zones = self._worker.map_version, lambda: self.navigation.zones.asked
        self._keeper = MapKeeper(
            config.map, self.save, self.load, version, zones, lambda: memory.changes
        )
        self._started = False

    def __enter__(self) -> SemanticField:
        """Starts."""
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Closes."""
        self.close()

    def start(self) -> None:
        """Warms up, loads the map of the config and starts the threads, once.

        Raises:
            ValueError: as `load`.
        """
        if not self._started:
            rehearse(self.config)
            self._answering.warm_up()
            self._keeper.load()
            self._worker.start()
            self._features.start()
            self._started = True
            self._keeper.start()
            # Threads inside native code must not outlive the interpreter.
            atexit.register(self.close)

    def pause(self, features: bool = False) -> None:
        """Stops training; frames are still taken in and questions answered.

        The map holds all that was learnt and stays as it is. Keyframes go on getting features,
        which clicks use; with `features` the keyframe in hand is the last one, the others wait.
        """
        if features:
            self._features.pause()
        self._worker.pause()
        self._in_worker(lambda _: self._worker.settle())

    def resume(self) -> None:
        """Goes on training, and with keyframes that wait for their features."""
        self._features.resume()
        self._worker.resume()

    def retune(self, queries: QueriesConfig, refining: ObjectFieldConfig | None = None) -> None:
        """From now on answers questions in another way; the map is not touched."""
        self.config = self._answering.retune(queries, refining)

    def close(self) -> None:
        """Saves if the config says so, and ends the threads; no use of the field afterwards."""
        if self._started:
            self._keeper.stop()
            self._features.stop()
            self._worker.stop()
            self._started = False
            atexit.unregister(self.close)

    def reset(self) -> None:
        """Forgets the map and every keyframe."""
        self._in_worker(lambda _: self._forget())

    def ingest(self, frame: PosedFrame) -> Decision:
        """Takes a frame and says whether, and why, it became a keyframe; returns at once.

        Raises:
            ValueError: the frame is not sound; it is counted and never reaches the field.
        """
        try:
            frame = check_frame(frame)
        except ValueError as error:
            self._refused[str(error).partition(", got")[0]] += 1
            raise
        with self._ingest_lock:
            decision = self._selector.consider(frame)
            self._memory.passing.saw(frame)
            if decision.keep:
                added = self._memory.add(self._within_size(frame))
                self._worker.keyframe_added(added)
                self._features.submit(added.keyframe_id)
        return decision

    def query_text(self, query: TextQuery, progress: Progress = unwatched) -> QueryAnswer:
        """Where is it? *Not found* is an answer, with its reason.

        Args:
            query: the question.
            progress: told the share of a refinement that is done, in [0, 1]; what it raises ends
                the refinement and comes back from here.
        """
        return self._answering.text(self._snapshot(), query, progress)

    def query_click(self, query: ClickQuery, progress: Progress = unwatched) -> QueryAnswer:
        """What is this? Arguments as `query_text`."""
        return self._answering.click(self._snapshot(), query, progress)

    def instances(
        self, vocabulary: Sequence[str], refine: bool = False, progress: Progress = unwatched
    ) -> QueryAnswer:
        """Everything there is, each with the best fitting label of a vocabulary.

        Args:
            vocabulary: phrases to choose labels from.
            refine: whether to tell all of it apart anew, which takes long.
            progress: as for `query_text`.
        """
        return self._answering.instances(self._snapshot(), vocabulary, refine, progress)

    def grasps(self, query: GraspQuery) -> GraspPlan:
        """How can a gripper take it? A model of the object and its grasps, best first."""
        return answer_grasps(self._snapshot(), self._answering, query)

    def classify(self, phrases: Sequence[str]) -> Classification:
        """Which of some phrases each point of the newest surface is, by the text method.

        Raises:
            RuntimeError: there is no snapshot yet.
            ValueError: no phrase or an empty one, or no method that knows words.
        """
        return self._answering.words.classify(self._snapshot(), phrases)

    def relevancy(self, phrase: str) -> NDArray[np.float32]:
        """(N,) in [0, 1]: how relevant each point of `surface()` is; raises as `classify`."""
        return self._answering.words.relevancy(self._snapshot(), phrase)

    def render(
        self,
        camera: PinholeCamera,
        world_from_camera: NDArray[np.float64],
        layer: str = "rgb",
        text: str = "",
    ) -> NDArray[Any]:
        """A picture of the newest snapshot.

        Args:
            camera: of the picture.
            world_from_camera: (4, 4), where it is taken.
            layer: "rgb" (H, W, 3) u8, "depth" (H, W) f32 metres, "relevancy" (H, W) f32 in
                [0, 1], "mask" (H, W) i32 number of the instance + 1, "features" (H, W, 3) u8.
            text: the phrase of "relevancy".

        Raises:
            RuntimeError: there is no snapshot yet.
            ValueError: an unknown layer, or a view that nobody could have.
        """
        return self._answering.render(self._snapshot(), camera, world_from_camera, layer, text)

    def segment_view(
        self,
        camera: PinholeCamera,
        world_from_camera: NDArray[np.float64],
        asked: Prompts | TextQuery,
    ) -> ViewMask:
        """What is pointed at, or meant by a phrase, in a view that the map renders.

        Only the segmenter's decoder runs, on rendered features, so any pose will do.

        Args:
            camera: of the view.
            world_from_camera: (4, 4), where it is.
            asked: points and box in the pixels of the view; or a text query, whose best answer
                that the view shows is pointed at by an interior point and its box.

        Raises:
            RuntimeError, ValueError: as `render_embedding`.
        """
        return self._answering.segment_view(self._snapshot(), camera, world_from_camera, asked)

    def render_embedding(
        self, camera: PinholeCamera, world_from_camera: NDArray[np.float64]
    ) -> NDArray[np.float16]:
        """(C, h, w) as the segmenter would embed an image of this view, without its encoder.

        Raises:
            RuntimeError, ValueError: as `render`, or `sam_features` is not configured.
        """
        return self._answering.embedding(self._snapshot(), camera, world_from_camera)

    def surface(self) -> SurfaceCloud | None:
        """The surface of the newest snapshot; None before the first."""
        return None if (snapshot := self._snapshot()) is None else snapshot.surface

    def keyframes(self) -> list[KeyframeView]:
        """All that are held, without their pixels, oldest first."""
        return self._memory.views()

    def keyframe(self, keyframe_id: int) -> PosedFrame | None:
        """What a camera saw, in the size in which it is kept; None if it is no longer held."""
        return None if (kept := self._memory.get(keyframe_id)) is None else kept.frame

    def export(
        self, path: str | Path, what: str = "surface", masks: Sequence[Mask3D] = ()
    ) -> None:
        """Writes a PLY cloud with label and score per point, a textured mesh, or the keyframes.

        Args:
            path: of the file; for a mesh .glb or .obj, for "transforms" a folder.
            what: "surface", "instances", "mesh" or "transforms" (keyframes, for nerfstudio).
            masks: of the newest map: labelled in the surface, or cut out of the mesh; none = all.

        Raises:
            RuntimeError: there is no snapshot yet.
            ValueError: something else to export, or masks of an older map.
        """
        self._exporter.write(self._snapshot(), Path(path), what, masks)

    def update_poses(self, poses: Mapping[int, NDArray[np.float64]]) -> int:
        """Moves keyframes after a loop closure and says how many were held; the map follows.

        Args:
            poses: world_from_camera (4, 4) by keyframe id, see `keyframes`.

        Raises:
            ValueError: a pose that is not rigid or too far away; then nothing moves.
        """
        moved = self._memory.update_poses(poses)
        self._worker.poses_changed()
        return moved

    def wait_for_snapshot(self, min_version: int = 1, timeout_s: float = 60.0) -> bool:
        """Waits for a map of at least this version; False if none came in time."""
        return self._worker.wait_for_snapshot(min_version, timeout_s) is not None

    def status(self) -> dict[str, Any]:
        """Plain JSON values: what is going on, what was dropped and why."""
        return {
            **work_status(self._worker.status(), self._features.status()),
            **memory_status(self._memory.status()),
            **snapshot_status(self._snapshot()),
            "frames": self._selector.counts(),
            "refused": dict(self._refused),
            "queries": self._answering.status(),
        }

    def save(self, path: str | Path) -> int:
        """Writes the map into a folder, atomically; training waits only until it is copied.

        Returns:
            The version that was written, which is also the newest that can be asked.

        Raises:
            RuntimeError: there is no map yet, or another one has taken its place meanwhile.
        """
        state, frame = self._in_worker(self._state), self.map_frame or self._loaded_frame
        saved = pack_map(self.config, state, self._memory, self._scales, frame)
        save_map(Path(path).parent, Path(path).name, saved)
        return int(saved.meta["map_version"])

    def load(self, path: str | Path) -> None:
        """Replaces the map by one that was saved, with its keyframes and keep-out zones.

        Raises:
            ValueError: no map there, or not one that fits this configuration; nothing changes.
        """
        saved = load_map(Path(path).parent, Path(path).name, self.map_frame)
        self._in_worker(lambda _: self._unpack(saved))

    def _snapshot(self) -> Snapshot | None:
        """The newest one that shows a surface; the first ones may be all fog."""
        snapshot = self._worker.snapshot()
        return snapshot if snapshot is not None and len(snapshot.surface.points) else None

    def _in_worker(self, work: Any) -> Any:
        """Does work in the training thread, or here while there is none."""
        return self._worker.done(work, PATIENCE_S) if self._started else work(self._worker.trainer)

    def _within_size(self, frame: PosedFrame) -> PosedFrame:
        kept = narrowed(frame, self.config.keyframes.max_width_px)
        self._scales[frame.camera_name] = kept.camera.width / frame.camera.width
        return kept

    def _state(self, mapper: Mapper | None) -> MapState:
        if mapper is None:
            raise RuntimeError("there is no map to save yet: ingest frames first")
        self._worker.settle()
        zones = pack_zones(self.navigation.zones.asked)
        return map_state(mapper, self._worker.map_version(), self._memory.generation, zones)

    def _forget(self) -> None:
        """In the training thread, which would begin anew with what is about to go."""
        with self._ingest_lock:
            self._features.clear()
            self._selector.reset()
            self._memory.clear()
            self._loaded_frame = ""
            self._worker.adopt(None)

    def _unpack(self, saved: SavedMap) -> None:
        (mapper, keyframes), zones = self._build.restored(saved), unpack_zones(saved)
        with self._ingest_lock:  # callbacks wait for it: nothing in here may take long
            self._features.clear()
            self._memory.take_over(keyframes)
            self._selector.reset()
            self._scales.update(saved.meta["image_scales"])
            self._loaded_frame = saved.meta.get("frame", "")
            self._worker.adopt(mapper, int(saved.meta["map_version"]))
            self.navigation.zones.adopt(zones)
        self._features.catch_up()
        self._worker.settle()
