"""LeRobotDataset v3.0: tables in parquet, pictures in them or in videos, JSON about it all.

    meta/info.json                             features, rate, sizes, templates of the paths below
    meta/stats.json, meta/tasks.parquet        statistics of every feature; tasks by number
    meta/episodes/chunk-000/file-000.parquet   a row an episode: where its frames are, its statistics
    data/chunk-000/file-000.parquet            a row a frame: an observation and the action that followed
    videos/KEY/chunk-000/file-000.mp4          with `video`: pictures of many episodes, one after another
    meta/robolearn.parquet                     a row an episode: its header, and what a frame cannot hold

`schema` says which array stands in which column, `tables` and `video` are the files, `statistics` what
LeRobot normalises with, `frames` what was read; `writing` and `reading` put them together.

LeRobot: https://huggingface.co/docs/lerobot/lerobot-dataset-v3
"""

from robolearn.data.exchange.lerobot.reading import Dataset
from robolearn.data.exchange.lerobot.writing import write

__all__ = ["Dataset", "write"]
