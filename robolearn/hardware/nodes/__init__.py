"""The parts of a deployment as ROS 2 nodes: thin shells of the cores in `robolearn.hardware`.

A node declares its parameters, subscribes, publishes, and turns messages into records and back; what it does
is the core's. Each runs by `python -m robolearn.hardware.nodes.NAME_node`. They need nothing of rclpy that
Humble's lacks. Monitor and watchdog import no learning code and no simulator. This package imports nothing
by itself.
"""
