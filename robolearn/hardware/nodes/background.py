"""A node that listens on a thread of its own, beside a program that does something else."""

from __future__ import annotations

import threading

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions


class BackgroundNode:
    """A node in a context of its own. Callbacks run on its thread, one after another, once it was started.

    Args:
        name: of the node.
        namespace: of the node.
        domain: DDS domain; None for the environment's.

    Attributes:
        node: to subscribe and publish with.
    """

    def __init__(self, name: str, namespace: str = "", domain: int | None = None) -> None:
        self._context = Context()
        # signals are the program's
        rclpy.init(
            args=[],
            context=self._context,
            domain_id=domain,
            signal_handler_options=SignalHandlerOptions.NO,
        )
        self.node = Node(name, namespace=namespace, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._going = True
        self._thread = threading.Thread(target=self._spin, name=name, daemon=True)

    def start(self) -> None:
        """Listen from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._going = False
        self._thread.join(5.0)
        self.node.destroy_node()
        self._context.try_shutdown()

    def _spin(self) -> None:
        while self._going:
            self._executor.spin_once(timeout_sec=0.1)
