"""Logs: everything that happened at a station, as rosbag2 MCAP files with standard ROS messages.

`messages` turns the records of `robolearn.hardware.wire` into the bytes of ROS 2 messages and back, `writer`
and `background` write logs, `reader` reads them (whole ones and what is left of killed ones), `recover` makes
killed ones whole. No ROS installation is needed. This package imports nothing by itself.
"""
