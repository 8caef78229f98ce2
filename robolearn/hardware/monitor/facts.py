"""From causes to the facts that the state machine depends on."""

from __future__ import annotations

from collections.abc import Iterable

from robolearn.hardware.monitor.causes import Bearing, Cause
from robolearn.hardware.monitor.states import Authority, Facts, RequestHealth, StateHealth

STOPPING = {
    Bearing.INSANE,
    Bearing.BAD,
    Bearing.LOST,
    Bearing.BREACH,
    Bearing.EMERGENCY,
    Bearing.STRANGER,
    Bearing.USURPED,
    Bearing.NO_POLICY,
}
"""What causes bear upon that stop the arm."""

_STATE_HEALTH = (
    (Bearing.LOST, StateHealth.LOST),
    (Bearing.BAD, StateHealth.BAD),
    (Bearing.LATE, StateHealth.LATE),
)
_REQUEST_HEALTH = ((Bearing.INSANE, RequestHealth.INSANE), (Bearing.REFUSED, RequestHealth.REFUSED))


def facts(
    causes: Iterable[Cause], *, at_rest: bool, may_deactivate: bool, reset: bool, asked: Authority | None
) -> Facts:
    """What causes amount to.

    Args:
        causes: everything that is wrong.
        at_rest: whether every joint is slower than the speed at rest.
        may_deactivate: whether the arm stays up without torques.
        reset: whether a person asks for a reset now.
        asked: the authority that a person asks for now.
    """
    bearings = {cause.bearing for cause in causes}
    state = next((health for bearing, health in _STATE_HEALTH if bearing in bearings), StateHealth.GOOD)
    request = next((h for bearing, h in _REQUEST_HEALTH if bearing in bearings), RequestHealth.GOOD)
    return Facts(
        state=state,
        request=request,
        policy_alive=Bearing.NO_POLICY not in bearings,
        breach=Bearing.BREACH in bearings,
        emergency=Bearing.EMERGENCY in bearings,
        stranger=Bearing.STRANGER in bearings,
        usurped=Bearing.USURPED in bearings,
        at_rest=at_rest,
        may_deactivate=may_deactivate,
        bundle_allowed=Bearing.NO_BUNDLE not in bearings,
        reset=reset,
        asked=asked,
    )
