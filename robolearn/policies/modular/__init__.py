"""The modular rival of the end-to-end policy: a detector finds the pose, a controller drives there.

    policy.py     the network that detects, and the controller behind it, as one policy of a bundle
    labels.py     what the detector learns to say, made from what the guided learner's network predicts, too
    goal.py       one estimate from many frames
    servo.py      the teachers' control law on the arm's own model
    insertion.py  the phases of insertion on estimates, with a compliant search at the end
    grasping.py   the phases of grasping on estimates
    search.py     the paths of that search
    board.py      a second detector: a marker board seen by a calibrated camera

Nothing here knows more than the readings, the pictures and what stands in a task's drawings.
"""
