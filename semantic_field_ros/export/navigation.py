"""What a robot on the ground can be told: a costmap, keep-out masks and goals of one map."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from semantic_field_ros.config import NavigationConfig
from semantic_field_ros.export.costmap import OCCUPIED, Costmap, build_costmap
from semantic_field_ros.export.goals import GoalAnswer, GoalOptions, find_goals
from semantic_field_ros.export.keepout import KeepOutMask, KeepOutZone, keep_out_mask
from semantic_field_ros.export.zones import Zones, zones_of
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.types import Mask3D

#: height of the eye above the floor where no keyframe tells it, metres.
USUAL_EYE_M = 1.0


class Navigation:
    """`SemanticField.navigation`; every method may be called from any thread.

    Args:
        config: heights, sizes, resolution.
        memory: whose keyframes looked through free space.
        newest: the snapshot that answers are made from, None before the first.

    Attributes:
        zones: what is kept away from; saved and loaded with the map. Whoever has some already
            puts them here before the field starts.
    """

    def __init__(
        self,
        config: NavigationConfig,
        memory: ReplayMemory,
        newest: Callable[[], Snapshot | None],
    ) -> None:
        self._config, self._memory, self._newest = config, memory, newest
        self.zones = Zones()
        self._lock = threading.Lock()
        self._last: tuple[Snapshot, Costmap] | None = None

    def costmap(self) -> Costmap:
        """Free, occupied and unknown cells of the newest map; made once for each version.

        Raises:
            RuntimeError: there is no map yet.
            ValueError: the map is too large for cells of this size.
        """
        return self._with_snapshot()[1]

    def keep_out(self, zones: Sequence[KeepOutZone]) -> KeepOutMask:
        """The mask of some zones, on the costmap's cells and beyond where a zone is.

        Raises:
            RuntimeError, ValueError: as `costmap`.
        """
        return keep_out_mask(self.costmap().grid, zones)

    def followed(self, zones: Sequence[KeepOutZone]) -> list[KeepOutZone]:
        """Zones where late corrections of poses have brought what they are around.

        Of each that has not moved the same object comes back, once it is known to be shown by a
        keyframe.

        Raises:
            RuntimeError: there is no map yet.
        """
        snapshot = self._newest_or_refuse()
        views = {view.keyframe_id: view for view in self._memory.views()}
        return [zone.followed(views, snapshot.depths) for zone in zones]

    def goals(self, mask: Mask3D, how: GoalOptions | None = None) -> GoalAnswer:
        """Where to stand to see what a query found, outside of all zones; see `find_goals`.

        Raises:
            RuntimeError, ValueError: as `costmap`.
        """
        snapshot, costmap = self._with_snapshot()
        eye_m, how, zones = self._eye_m(), how or GoalOptions(), zones_of(self.zones.asked)
        if zones:
            forbidden = keep_out_mask(costmap.grid, zones).forbids(costmap.grid)
            cells = np.where(forbidden, np.int8(OCCUPIED), costmap.cells)
            costmap = replace(costmap, cells=cells)
        answer = find_goals(costmap, snapshot.surface, mask, eye_m, self._config, how)
        if zones and not answer.goals:
            answer = replace(answer, reason=f"{answer.reason}; keep-out zones count as walls")
        return answer

    def _newest_or_refuse(self) -> Snapshot:
        snapshot = self._newest()
        if snapshot is None:
            raise RuntimeError("there is no map to navigate in yet: ingest frames first")
        return snapshot

    def _with_snapshot(self) -> tuple[Snapshot, Costmap]:
        snapshot = self._newest_or_refuse()
        with self._lock:
            if self._last is None or self._last[0] is not snapshot:
                views = self._memory.views()
                self._last = (snapshot, build_costmap(snapshot.surface, views, self._config))
            return self._last

    def _eye_m(self) -> float:
        """Height above the floor from which goals look."""
        if self._config.eye_height_m > 0:
            return self._config.eye_height_m
        heights_m = [view.world_from_camera[2, 3] for view in self._memory.views()]
        return float(np.median(heights_m)) - self._config.floor_m if heights_m else USUAL_EYE_M
