"""The methods by the names that the command line knows them by."""

from __future__ import annotations

from robolearn.policies.offline.awac import AWAC
from robolearn.policies.offline.bc import BC
from robolearn.policies.offline.cql import CQL
from robolearn.policies.offline.iql import IQL
from robolearn.policies.offline.learner import Learner
from robolearn.policies.offline.td3bc import TD3BC

METHODS: dict[str, type[Learner]] = {"bc": BC, "td3bc": TD3BC, "awac": AWAC, "iql": IQL, "cql": CQL}
