"""Publishers, subscriptions, quality of service and log of rclpy behind the port."""

from __future__ import annotations

import logging
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from semantic_field_ros.ros.graph import Message, Publisher, Qos, Subscription


class RclpyPublisher(Publisher):
    """An rclpy publisher."""

    def __init__(self, publisher: Any) -> None:
        """Wraps it."""
        self._publisher = publisher

    def publish(self, message: Message) -> None:
        """See `Publisher`."""
        self._publisher.publish(message)

    def subscribers(self) -> int:
        """See `Publisher`."""
        return int(self._publisher.get_subscription_count())


class RclpySubscription(Subscription):
    """An rclpy subscription."""

    def __init__(self, node: Node, topic: str) -> None:
        """`topic`: absolute, after remapping."""
        self._node, self.topic = node, topic

    def publishers(self) -> int:
        """Publishers of the topic; rclpy does not tell which of them match."""
        return int(self._node.count_publishers(self.topic))


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
