"""End to end against modular: how often each succeeds, and where each one's errors lie.

perception.py        errors along the insertion's axis and across it, of frames and of episodes
witness.py           what a policy believes at every frame, and what its actions imply
compare.py           policies on the same held-out episodes
compare_command.py   `robolearn compare`
"""
