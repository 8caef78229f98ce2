"""The methods by the names that the command line knows them by."""

from __future__ import annotations

from robolearn.policies.online.learner import OnlineLearner
from robolearn.policies.online.qtopt import QTOpt
from robolearn.policies.online.rlpd import RLPD
from robolearn.policies.online.sac import SAC

METHODS: dict[str, type[OnlineLearner]] = {"sac": SAC, "rlpd": RLPD, "qtopt": QTOpt}
