"""From logs to episodes: rosbag2 files, ours or a stranger's, aligned as the policy would have seen them.

`bag` reads both storage formats, `plan` (and `mapped`, for a stranger's) says which episodes a log holds
and which topic is which channel, `replay` plays a log to the policy runner's own alignment, `steps` pairs
what was seen with what was done, `read` makes the episodes, `add` puts them into a store.
"""
