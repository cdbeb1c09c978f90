"""Publishers, subscriptions, quality of service and log of rclpy behind the port."""

from __future__ import annotations

import logging
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from semantic_field_ros.ros.graph import (
    Message,
    Publication,
    Publisher,
    Qos,
    Subscription,
    mismatch,
)

#: As many requests, or replies, may wait as with `DdsGraph`.
SERVICE_QOS = QoSProfile(depth=64)


class RclpyPublisher(Publisher):
    """An rclpy publisher."""

    def __init__(self, publisher: Any) -> None:
        """Wraps it."""
        self._publisher, self.topic = publisher, str(publisher.topic_name)

    def publish(self, message: Message) -> None:
        """See `Publisher`."""
        self._publisher.publish(message)

    def subscribers(self) -> int:
        """See `Publisher`."""
        return int(self._publisher.get_subscription_count())


class RclpySubscription(Subscription):
    """An rclpy subscription."""

    def __init__(self, node: Node, subscription: Any, type_name: str, qos: Qos) -> None:
        """Wraps `subscription` of `node`."""
        self._node, self._subscription = node, subscription
        self.topic, self.type_name, self.qos = str(subscription.topic_name), type_name, qos

    def publishers(self) -> int:
        """See `Subscription`; rclpy does not tell which match, so they are compared."""
        if self._subscription is None:
            return 0
        listed = self._node.get_publishers_info_by_topic(self.topic)
        found = [publication_of(self.topic, info) for info in listed]
        return sum(not mismatch(self, other) for other in found)

    def close(self) -> None:
        """See `Subscription`."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            self._node.destroy_subscription(subscription)


def publication_of(topic: str, info: Any) -> Publication:
    """What rclpy's `TopicEndpointInfo` says."""
    qos = info.qos_profile
    return Publication(
        topic,
        info.topic_type,
        qos.reliability == ReliabilityPolicy.RELIABLE,
        qos.durability == DurabilityPolicy.TRANSIENT_LOCAL,
    )


class RclpyLogHandler(logging.Handler):
    """Sends the package's log to rclpy, and so to the console and `/rosout`."""

    def __init__(self, node: Node) -> None:
        """Attaches itself to nothing."""
        super().__init__(logging.DEBUG)
        self._logger = node.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        """Sends one record."""
        text = self.format(record)
        # rclpy binds a severity to each calling line, hence one line per level.
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)


def qos_profile(qos: Qos) -> QoSProfile:
    """The rclpy form of a quality of service."""
    reliable, best_effort = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
    latched, volatile = DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE
    return QoSProfile(
        depth=qos.depth,
        reliability=reliable if qos.reliable else best_effort,
        durability=latched if qos.latched else volatile,
    )
