"""The node's side for Nav2: costmap, keep-out mask with its filter info, goals."""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from semantic_field_ros.export.costmap import UNKNOWN, Costmap
from semantic_field_ros.export.goals import Goal, GoalAnswer, GoalOptions
from semantic_field_ros.export.ground import GroundGrid
from semantic_field_ros.export.keepout import KeepOutMask, KeepOutZone, QueryZones, keep_out_mask
from semantic_field_ros.export.zones import Asked, Zones, zones_of
from semantic_field_ros.geometry import invert_rigid, transform_points
from semantic_field_ros.queries.base import ClickQuery, TextQuery
from semantic_field_ros.queries.composition import KeepAway, parse
from semantic_field_ros.ros.answers import AnswerFrame, answer_message
from semantic_field_ros.ros.clouds import grid_message
from semantic_field_ros.ros.graph import LATCHED, Graph, Publisher
from semantic_field_ros.ros.messages import header_message, pose_message
from semantic_field_ros.ros.requests import lookup, world_from_header
from semantic_field_ros.ros.services import Services, why
from semantic_field_ros.ros.settings import NodeSettings
from semantic_field_ros.stream.messages import matrix_from_pose
from semantic_field_ros.types import QueryAnswer

logger = logging.getLogger(__name__)

#: what Nav2's KeepoutFilter reads, and its number among the filters' types.
_INFO, _KEEP_OUT = "nav2_msgs/msg/CostmapFilterInfo", 0
#: radius of "keep away from the plant", metres.
USUAL_RADIUS_M = 0.5
_SRV = "semantic_field_ros/srv"
#: how often a question is asked for a zone while one map after the other comes out.
_TRIES = 5


class NavigationServer:
    """Topics and services for a robot on the ground.

    Args:
        graph: the node.
        field: a `SemanticField`.
        services: asks queries and shows what was found.
        settings: of the node.

    Attributes:
        zones: those in force, also while there is no field.
    """

    def __init__(
        self, graph: Graph, field: Any, services: Services, settings: NodeSettings
    ) -> None:
        self._graph, self._make, self._field = graph, graph.message, field
        self._services, self._map_frame = services, settings.map_frame
        self._period_s, self._published_s = settings.costmap_period_s, -math.inf
        self._shown: Costmap | None = None
        self._masked: GroundGrid | None = None
        self._goals_are_shown = False
        self._lock = threading.Lock()
        self.zones = Zones()
        self._in_mask: Asked | None = None
        self._is_announced = False
        grid = "nav_msgs/msg/OccupancyGrid"
        self._costmap = graph.publisher(grid, "~/costmap", LATCHED)
        self._keepout = graph.publisher(grid, "~/keepout", LATCHED)
        self._info = _info_publisher(graph)
        self._goals = graph.publisher("geometry_msgs/msg/PoseArray", "~/goals", LATCHED)
        graph.serve(f"{_SRV}/KeepOut", "~/keep_out", self._keep_out)
        graph.serve(f"{_SRV}/FindGoals", "~/find_goals", self._find_goals)

    def publish(self) -> None:
        """What has changed since the last time; a costmap only if somebody reads it.

        Without a map keep-out zones stay as they are: whoever asked for them did not ask for less.
        """
        if not self._has_map():
            self._forget()
            return
        costmap = self._publish_costmap()
        with self._lock:  # after the costmap, which no zone can hold back
            before = self.zones.asked
            after = self._followed(before)
            # KeepoutFilter looks for changes in as many cells of the costmap as the mask has.
            outgrown = costmap and self._masked and not self._masked.holds(costmap.grid)
            # Where a map was loaded meanwhile, its zones are published next time.
            if self.zones.swap(before, after) and (after is not self._in_mask or outgrown):
                self._publish_zones(after, self._field.navigation.keep_out(zones_of(after)))

    def _publish_costmap(self) -> Costmap | None:
        """What was published, if anything was."""
        is_due = time.monotonic() - self._published_s >= self._period_s
        if not is_due or not self._costmap.subscribers():
            return None
        self._published_s = time.monotonic()
        costmap: Costmap = self._field.navigation.costmap()
        if self._shown is not None and costmap.map_version == self._shown.map_version:
            return None
        self._shown = costmap
        self._costmap.publish(self._grid(costmap))
        return costmap

    def _forget(self) -> None:
        """No goals; a costmap that knows nothing; of the same size, Nav2 takes its own from it."""
        if self._goals_are_shown:
            self._show_goals([], 0)
        if self._shown is not None:
            unknown = np.full_like(self._shown.cells, UNKNOWN)
            self._costmap.publish(self._grid(replace(self._shown, cells=unknown)))
            self._shown = None

    def keep_away(self, wish: KeepAway) -> str:
        """Adds what a sentence wants, and says what was done or why not."""
        with self._lock:
            try:
                query = _of_all(parse(wish.text))
                radius_m = USUAL_RADIUS_M if wish.radius_m is None else wish.radius_m
                before = self.zones.asked
                zones = _zones(query, self._newest_answer(query), radius_m)
                return self._set_zones(before, _renewed(before, zones))
            except (ValueError, RuntimeError) as error:
                return str(error)

    def _keep_out(self, request: Any) -> Any:
        fields: dict[str, Any] = {}
        with self._lock:
            try:
                before = self.zones.asked
                asked = () if request.clear else before
                if request.text.strip() or request.point.header.frame_id or not request.clear:
                    query = _of_all(self._query(request), int(request.max_results))
                    answer = self._newest_answer(query)
                    frame = AnswerFrame(self._map_frame, np.eye(4))
                    fields["answer"] = answer_message(self._make, answer, frame)
                    asked = _renewed(asked, _zones(query, answer, float(request.radius)))
                fields |= {"success": True, "message": self._set_zones(before, asked)}
            except Exception as error:  # whoever asked must hear of it, whatever it is
                fields |= {"success": False, "message": why(error)}
            return self._make(f"{_SRV}/KeepOut_Response", zones=self.zones.count, **fields)

    def _followed(self, asked: Asked) -> Asked:
        """Zones where late corrections of poses have brought what they are around; the same object
        if that is where they were."""
        followed = self._field.navigation.followed
        after = tuple(replace(one, zones=tuple(followed(one.zones))) for one in asked)
        pairs = zip(zones_of(after), zones_of(asked), strict=True)
        return after if any(new is not old for new, old in pairs) else asked

    def _set_zones(self, before: Asked, asked: Asked) -> str:
        """Puts zones in force in place of others.

        Raises:
            ValueError: they cannot be drawn; then nothing changes.
            RuntimeError: what is in force is no longer what it was before; nor then.
        """
        mask = None
        if self._has_map():
            asked = self._followed(asked)
            mask = self._field.navigation.keep_out(zones_of(asked))
        elif self._masked is not None:  # of the map that was: zones can be lifted without one
            mask = keep_out_mask(self._masked, zones_of(asked))
        if not self.zones.swap(before, asked):
            raise RuntimeError("another map was loaded meanwhile, with its own zones: ask again")
        if mask is not None:
            self._publish_zones(asked, mask)
        names = [zone.label or _place(zone) for zone in zones_of(asked)]
        return f"{len(names)} keep-out zones: {', '.join(names) or 'none'}"

    def _has_map(self) -> bool:
        return self._field.surface() is not None

    def _publish_zones(self, asked: Asked, mask: KeepOutMask) -> None:
        """The mask first: Nav2 subscribes to it when it has read the info, anew for each info."""
        self._keepout.publish(self._grid(mask))
        self._in_mask, self._masked = asked, mask.grid
        if self._info is not None and not self._is_announced:
            self._is_announced = True
            info = self._make(
                _INFO,
                header=self._header(),
                type=_KEEP_OUT,
                filter_mask_topic=self._keepout.topic,
                base=0.0,
                multiplier=1.0,
            )
            self._info.publish(info)

    def _find_goals(self, request: Any) -> Any:
        try:
            frame = self._target(request.target_frame)
            answer = self._answer(self._query(request))
            found = GoalAnswer([], answer.reason, 0)
            if answer.found:
                found = self._field.navigation.goals(answer.masks[0], self._options(request))
        except Exception as error:  # whoever asked must hear of it, whatever it is
            reason = why(error)
            return self._make(f"{_SRV}/FindGoals_Response", found=False, reason=reason)
        self._show_goals(found.goals, answer.stamp_ns)
        return self._goals_reply(frame, answer, found)

    def _show_goals(self, goals: Sequence[Goal], stamp_ns: int) -> None:
        header = header_message(self._make, self._map_frame, stamp_ns)
        poses = [pose_message(self._make, goal.world_from_base) for goal in goals]
        self._goals.publish(self._make("geometry_msgs/msg/PoseArray", header=header, poses=poses))
        self._goals_are_shown = bool(poses)

    def _goals_reply(self, frame: AnswerFrame, answer: QueryAnswer, found: GoalAnswer) -> Any:
        goals = found.goals
        return self._make(
            f"{_SRV}/FindGoals_Response",
            header=header_message(self._make, frame.frame_id, answer.stamp_ns),
            found=bool(goals),
            reason=found.reason,
            poses=[
                pose_message(self._make, frame.target_from_world @ goal.world_from_base)
                for goal in goals
            ],
            scores=[goal.score for goal in goals],
            visible=[goal.visible for goal in goals],
            distances=[goal.distance_m for goal in goals],
            clearances=[goal.clearance_m for goal in goals],
            answer=answer_message(self._make, answer, frame),
        )

    def _query(self, request: Any) -> TextQuery | ClickQuery:
        """What `text`, or `point` without a text, of a request asks for."""
        if request.text.strip():
            return parse(request.text)
        header, point = request.point.header, request.point.point
        if not header.frame_id:
            raise ValueError("nothing is asked for: give a text, or a point with its frame_id")
        clicked = self._in_map(header, np.array([[point.x, point.y, point.z]]))
        return ClickQuery(points_world=clicked.astype(np.float32))

    def _answer(self, query: TextQuery | ClickQuery) -> QueryAnswer:
        if isinstance(query, TextQuery):
            return self._services.ask_text(query)
        return self._services.ask_click(lambda: query)

    def _newest_answer(self, query: TextQuery | ClickQuery) -> QueryAnswer:
        """From the map that zones are tied to right after it: poses may be corrected meanwhile,
        and points of the map before would be tied to where they are no more."""
        for _ in range(_TRIES):
            answer, surface = self._answer(query), self._field.surface()
            if surface is None or surface.map_version == answer.map_version:
                break
        return answer

    def _options(self, request: Any) -> GoalOptions:
        """Raises ValueError for distances that make no sense."""
        usual, header = GoalOptions(), request.start.header
        start = None
        if header.frame_id:
            start = self._in_map(header, matrix_from_pose(request.start.pose)[:3, 3][None])[0]
        least, most = usual.distance_m
        return GoalOptions(
            start=start,
            distance_m=(
                float(request.min_distance) or least,
                float(request.max_distance) or most,
            ),
            max_results=int(request.max_results) or usual.max_results,
        )

    def _in_map(self, header: Any, points: np.ndarray) -> np.ndarray:
        world_from_frame = world_from_header(self._graph, self._map_frame, header)
        return np.asarray(transform_points(world_from_frame, points))

    def _target(self, name: str) -> AnswerFrame:
        name = name or self._map_frame
        return AnswerFrame(name, invert_rigid(lookup(self._graph, self._map_frame, name)))

    def _grid(self, made: Costmap | KeepOutMask) -> Any:
        grid = made.grid
        return grid_message(
            self._make, self._header(), made.cells, grid.resolution_m, grid.origin_m
        )

    def _header(self) -> Any:
        return header_message(self._make, self._map_frame, self._graph.now_ns())


def _info_publisher(graph: Graph) -> Publisher | None:
    """None where Nav2's messages are not installed, and nobody could read them."""
    try:
        return graph.publisher(_INFO, "~/keepout_info", LATCHED)
    except ValueError as error:
        logger.warning(
            "Nav2 cannot read ~/keepout without ~/keepout_info: install nav2_msgs "
            "(apt: ros-$ROS_DISTRO-nav2-msgs) and start again: %s",
            error,
        )
        return None


def _of_all(query: TextQuery | ClickQuery, most: int = 0) -> TextQuery | ClickQuery:
    """The query for its `most` best answers, or for all: who keeps away from chairs means each."""
    if isinstance(query, ClickQuery):
        return query
    return replace(query, max_results=most or sys.maxsize)


def _zones(query: TextQuery | ClickQuery, answer: QueryAnswer, radius_m: float) -> QueryZones:
    """One zone per mask; a clicked point is part of its thing.

    Raises:
        ValueError: nothing was found, or a radius that makes no sense.
    """
    if not answer.found:
        raise ValueError(answer.reason)
    clicked = query.points_world if isinstance(query, ClickQuery) else None
    more = np.zeros((0, 3), np.float32) if clicked is None else clicked
    return QueryZones(
        query,
        tuple(
            KeepOutZone(mask.label, np.concatenate([mask.points, more]), radius_m)
            for mask in answer.masks
        ),
    )


def _place(zone: KeepOutZone) -> str:
    """Where the middle of a zone is, for one around a thing without a name."""
    x, y = zone.points[:, :2].mean(axis=0)
    return f"at ({x:.1f}, {y:.1f})"


def _renewed(asked: Asked, newest: QueryZones) -> Asked:
    """The same with the zones of the newest query, in place of those that it asked for before."""
    return (*(old for old in asked if not old.asked_by(newest.query)), newest)
