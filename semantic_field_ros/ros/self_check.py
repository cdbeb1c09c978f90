"""Why nothing happens, in one line that says what to do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from semantic_field_ros.ros.graph import Publication, Subscription, mismatch
from semantic_field_ros.ros.graph_part import Meter

#: a topic that has been silent for longer is worth a word.
SILENT_S = 2.0
_PACKED = "sensor_msgs/msg/CompressedImage"
_RAW = "sensor_msgs/msg/Image"
_INFO = "sensor_msgs/msg/CameraInfo"
#: Types without which nothing can be mapped; others, such as corrections of poses, come now and
#: then or never.
_NEEDED = (_RAW, _PACKED, _INFO, "geometry_msgs/msg/PoseStamped", "nav_msgs/msg/Odometry")
_WITHOUT_DEPTH = " (without a depth camera set depth_transport to none)"


@dataclass(frozen=True)
class TopicState:
    """One topic that the node listens to.

    Attributes:
        topic: absolute name.
        type_name: of its messages.
        rate_hz: messages per second, over the last few.
        age_s: since the last message; None before the first.
        publishers: how many match.
        problem: why nothing comes, else empty.
    """

    topic: str
    type_name: str
    rate_hz: float
    age_s: float | None
    publishers: int
    problem: str = ""


def observe_topics(
    heard: Sequence[tuple[Subscription, Meter]],
    publications: Iterable[Publication],
    node: str,
    depth_topics: Collection[str],
    infos: Collection[str],
) -> list[TopicState]:
    """The state of every subscription.

    Args:
        heard: subscriptions with the meters of their messages.
        publications: what discovery knows; only looked at where a topic is silent.
        node: absolute name of the node, whose own topics are no camera's.
        depth_topics: absolute names, of what not every camera has.
        infos: absolute names of the topics whose intrinsics are known, maybe from before.
    """
    states, known = [], None
    taken = {subscription.topic for subscription, _ in heard}
    for subscription, meter in heard:
        age_s, problem = meter.age_s(), ""
        if _is_missed(subscription.type_name, age_s) and subscription.topic not in infos:
            if known is None:
                known = [p for p in publications if not p.topic.startswith(f"{node}/")]
            topic = subscription.topic
            free = [p for p in known if p.topic == topic or p.topic not in taken]
            cure = _WITHOUT_DEPTH if topic in depth_topics else ""
            problem = _silence(subscription, age_s, free, cure)
        states.append(
            TopicState(
                subscription.topic,
                subscription.type_name,
                meter.rate_hz(),
                age_s,
                subscription.publishers(),
                problem,
            )
        )
    return states


def _is_missed(type_name: str, age_s: float | None) -> bool:
    """Whether a topic should have spoken by now; intrinsics may be told once."""
    if type_name not in _NEEDED:
        return False
    return age_s is None or (age_s > SILENT_S and type_name != _INFO)


def _silence(
    subscription: Subscription, age_s: float | None, known: Sequence[Publication], cure: str
) -> str:
    """Why nothing comes; `cure`: what helps where nothing ever will."""
    topic = subscription.topic
    here = [publication for publication in known if publication.topic == topic]
    reasons = [mismatch(subscription, publication) for publication in here]
    if not here:
        return f"nobody publishes {topic}{_elsewhere(subscription, known)}{cure}"
    if all(reasons):
        parameter = " (parameter reliable)" if "reliable" in reasons[0] else ""
        return f"the publisher of {topic} does not match: it is {reasons[0]}{parameter}"
    if age_s is None:
        return f"{topic} has a publisher, but no message has come{cure}"
    return f"{topic} has been silent for {age_s:.0f} s"


def _elsewhere(subscription: Subscription, known: Sequence[Publication]) -> str:
    """Where messages of this kind are published instead."""
    topic, kind = subscription.topic, subscription.type_name
    packed = sorted(p.topic for p in known if p.type_name == _PACKED and kind == _RAW)
    below = [name for name in packed if name.rpartition("/")[0] == topic]
    if below:
        transport = below[0].rpartition("/")[2]
        return f", but {below[0]} is there: set its transport to {transport}"
    same = sorted({p.topic for p in known if p.type_name == kind})
    return f"; {kind} is published on {', '.join(same[:4])}" if same else ""


def frames_problem(error: str, map_frame: str, cameras: Iterable[str], known: set[str]) -> str:
    """What is wrong with the poses, in terms of frames where that is the matter.

    Args:
        error: the newest one of a lookup, empty if there was none.
        map_frame: where the map is.
        cameras: optical frames, empty ones are not known yet.
        known: every frame that some transform names; none where poses do not come from tf.
    """
    if not error:
        return ""
    listed = ", ".join(sorted(known)[:8]) or "none"
    if known and map_frame not in known:
        return f"no transform names the map frame {map_frame!r} (map_frame); known: {listed}"
    lost = [camera for camera in cameras if camera and camera not in known]
    if known and lost:
        return f"images are in frame {lost[0]!r}, which no transform names; known: {listed}"
    return f"no pose: {error}"
