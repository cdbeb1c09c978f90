"""What each part of the node is worth, as `/diagnostics` and `~/status` report it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from semantic_field_ros.ros.lifecycle import State
from semantic_field_ros.ros.self_check import TopicState
from semantic_field_ros.stream.pairing import Dropped

#: Levels of diagnostic_msgs/DiagnosticStatus: as it should be; works, but worse than it should;
#: does not work until somebody does something; worked, and nothing new has come for a while.
OK, WARN, ERROR, STALE = range(4)

#: a query is promised to take no longer, seconds.
SLOW_QUERY_S = 1.0
#: share of the memory budget from which it is worth a word.
HIGH_MEMORY = 0.8
#: share of the feature queue from which it is worth a word.
HIGH_BACKLOG = 0.5
#: What brings a node further.
_NEXT = {State.UNCONFIGURED: "configure", State.INACTIVE: "activate"}


@dataclass(frozen=True)
class Observed:
    """What the node knows of itself at one time.

    Attributes:
        state, reason: of the lifecycle.
        node: absolute name.
        field: status of the `SemanticField`, {} without one.
        topics: what is listened to while active.
        accepted: frames handed to the map since it became active.
        drops: frames dropped since then, by reason.
        refused: messages and requests that said nothing that could be used, by reason.
        drop_advice: what the inputs say about frames that were dropped, or empty.
        pose_problem: why frames get no pose, or empty.
        last_tf_error: the newest error of a lookup.
        skew_s: stamp of the newest depth image minus that of its colour image, of the camera where
            it is largest; None before the first.
        keyframes_wanted: how many the first map needs.
        feature_queue: most keyframes that may wait for features.
        memory_mb, memory_budget_mb: of the process.
        gpu_mb: used and present; None without a GPU.
    """

    state: State
    reason: str = ""
    node: str = ""
    field: dict[str, Any] = dataclasses.field(default_factory=dict)
    topics: tuple[TopicState, ...] = ()
    accepted: int = 0
    drops: dict[str, int] = dataclasses.field(default_factory=dict)
    refused: dict[str, int] = dataclasses.field(default_factory=dict)
    drop_advice: str = ""
    pose_problem: str = ""
    last_tf_error: str = ""
    skew_s: float | None = None
    keyframes_wanted: int = 0
    feature_queue: int = 1
    memory_mb: float = 0.0
    memory_budget_mb: float = 0.0
    gpu_mb: tuple[float, float] | None = None

    @property
    def label(self) -> str:
        """One word: the field's state while active, else the lifecycle's."""
        if self.state is not State.ACTIVE:
            return self.state.label
        return str(self.field.get("state", self.state.label))

    @property
    def trains(self) -> bool:
        """Whether a map is being trained, whatever else may be wrong."""
        return self.label == "training"


@dataclass(frozen=True)
class Health:
    """One part's worth; `values` are its figures."""

    part: str
    level: int
    message: str
    values: dict[str, Any]


def why_idle(seen: Observed) -> str:
    """One line on what keeps the node from mapping, or while it trains from seeing more, the first
    cause first; empty if nothing."""
    if seen.reason:
        return seen.reason
    if seen.state is not State.ACTIVE:
        cure = _NEXT.get(seen.state)
        how = f": ros2 lifecycle set {seen.node} {cure}" if cure else ""
        return f"the node is {seen.state.label}{how}"
    if seen.field.get("message"):
        return str(seen.field["message"])
    missing = _why_no_frames(seen)
    return f"no new frames: {missing}" if missing and seen.trains else missing


def _why_no_frames(seen: Observed) -> str:
    """What the inputs, or the frames that they deliver, lack."""
    problems = [topic.problem for topic in seen.topics if topic.problem]
    if problems:
        return "; ".join(problems)
    if Dropped.NO_DEPTH.value in seen.drop_advice and seen.skew_s is not None:
        return f"{seen.drop_advice} (the nearest depth is {seen.skew_s:+.3f} s off its image)"
    return seen.pose_problem or seen.drop_advice or _why_no_keyframes(seen)


def _why_no_keyframes(seen: Observed) -> str:
    """What a stream of good frames lacks."""
    keyframes, field_state = int(seen.field.get("keyframes") or 0), seen.field.get("state")
    frames: dict[str, int] = seen.field.get("frames") or {}
    if seen.accepted and not keyframes and frames:
        worst = max(frames, key=lambda reason: frames[reason])
        return f"no frame was kept, most are {worst} ({frames[worst]})"
    if field_state == "waiting" and seen.accepted:
        return f"{keyframes} of {seen.keyframes_wanted} keyframes to begin with: move the camera"
    return ""


class Physician:
    """Judges one observation after the other; some symptoms are changes between two."""

    def __init__(self) -> None:
        self._before = Observed(State.UNCONFIGURED)

    def examine(self, seen: Observed) -> list[Health]:
        """Every part, the lifecycle first."""
        before, self._before = self._before, seen
        parts = [
            _lifecycle(seen),
            _inputs(seen, before),
            _poses(seen, before),
            _training(seen),
            _features(seen, before),
            _memory(seen),
            _queries(seen),
        ]
        if seen.state is State.ACTIVE:
            return parts
        idle = f"the node is {seen.state.label}"
        resting = {"inputs", "poses", "training", "features"}
        return [Health(p.part, STALE, idle, p.values) if p.part in resting else p for p in parts]


def _lifecycle(seen: Observed) -> Health:
    level = ERROR if seen.reason else OK if seen.state is State.ACTIVE else WARN
    return Health("lifecycle", level, seen.reason or seen.state.label, {"state": seen.state.label})


def _inputs(seen: Observed, before: Observed) -> Health:
    values: dict[str, Any] = {f"{t.topic} [Hz]": round(t.rate_hz, 2) for t in seen.topics}
    values |= {"frames accepted": seen.accepted, "drops": seen.drops, "skew [s]": seen.skew_s}
    values |= {"refused": seen.refused}
    troubled = [topic for topic in seen.topics if topic.problem]
    said = "; ".join(topic.problem for topic in troubled)
    if any(topic.age_s is None for topic in troubled):
        return Health("inputs", ERROR, said, values)
    if troubled:
        return Health("inputs", STALE, said, values)
    taken, dropped = _new(seen.accepted, before.accepted), _new(_sum(seen), _sum(before))
    if dropped > taken:
        said = seen.drop_advice or f"{dropped} frames dropped since the last report"
        return Health("inputs", WARN if taken else ERROR, said, values)
    return Health("inputs", OK, f"{taken} frames since the last report", values)


def _poses(seen: Observed, before: Observed) -> Health:
    values = {"last tf error": seen.last_tf_error}
    lost = _new(_poseless(seen), _poseless(before))
    if not lost:
        return Health("poses", OK, "every frame has its pose", values)
    taken = _new(seen.accepted, before.accepted)
    said = seen.pose_problem or f"{lost} frames without a pose"
    return Health("poses", WARN if taken else ERROR, said, values)


def _training(seen: Observed) -> Health:
    state = str(seen.field.get("state", ""))
    keys = ("steps", "steps_per_s", "loss", "losses", "psnr_db", "map_version", "keyframes")
    level = {"training": OK, "idle": OK, "failed": ERROR}.get(state, WARN)
    said = str(seen.field.get("message") or "") if level == ERROR else state
    return Health("training", level, said, _some(seen.field, keys))


def _features(seen: Observed, before: Observed) -> Health:
    keys = (
        "feature_backlog",
        "features_done",
        "features_dropped",
        "seconds_per_keyframe",
        "tiles_left_out",
    )
    values, error = _some(seen.field, keys), str(seen.field.get("message") or "")
    backlog, done = _count(seen, "feature_backlog"), _count(seen, "features_done")
    if error and seen.field.get("state") != "failed":
        return Health("features", ERROR, error, values)
    dropped = _new(_count(seen, "features_dropped"), _count(before, "features_dropped"))
    if dropped:
        told = f"{dropped} keyframes lost their place in line for features"
        return Health("features", WARN, told, values)
    if backlog > HIGH_BACKLOG * seen.feature_queue:
        return Health("features", WARN, f"{backlog} keyframes wait for features", values)
    return Health("features", OK, f"{done} keyframes done, {backlog} wait", values)


def _memory(seen: Observed) -> Health:
    used, budget = seen.memory_mb, seen.memory_budget_mb
    values: dict[str, Any] = {"memory [MB]": used, "budget [MB]": budget}
    values |= _some(seen.field, ("keyframes", "keyframe_mb", "keyframes_evicted"))
    shares = [used / budget if budget else 0.0]
    if seen.gpu_mb is not None:
        values |= {"GPU [MB]": seen.gpu_mb[0], "GPU budget [MB]": seen.gpu_mb[1]}
        shares.append(seen.gpu_mb[0] / seen.gpu_mb[1])
    share = max(shares)
    level = OK if share < HIGH_MEMORY else WARN if share < 1 else ERROR
    return Health("memory", level, f"{share:.0%} of the budget", values)


def _queries(seen: Observed) -> Health:
    asked: dict[str, Any] = seen.field.get("queries") or {}
    last_s = float(asked.get("latency_last_s") or 0.0)
    count = int(asked.get("asked") or 0)
    if not seen.field:
        return Health("queries", WARN, "there is no map to ask", dict(asked))
    said = f"{count} answered, the last in {last_s:.2f} s" if count else "nobody has asked"
    return Health("queries", WARN if last_s > SLOW_QUERY_S else OK, said, dict(asked))


def _new(now: int, before: int) -> int:
    """What a counter has gained; one that starts anew counts from 0."""
    return now - before if now >= before else now


def _sum(seen: Observed) -> int:
    return sum(seen.drops.values())


def _poseless(seen: Observed) -> int:
    return seen.drops.get(Dropped.NO_POSE.value, 0)


def _count(seen: Observed, key: str) -> int:
    return int(seen.field.get(key) or 0)


def _some(values: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: values[key] for key in keys if key in values}
