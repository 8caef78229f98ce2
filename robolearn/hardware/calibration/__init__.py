"""Where a camera stands and how it sees, measured with a printed board: `robolearn calibrate`.

`board` is the ChArUco board, `projection` the model of a camera, `intrinsics` and `handeye` the two
measurements, `sources` where views come from, `station_file` writes the results, `overlay` shows them.
"""
