"""Networks, learning rules and the bundles that policies are shipped in."""

from __future__ import annotations

# reached through the link `policies` of the repository every class would exist twice
if __name__ != "robolearn.policies":
    raise ImportError(f"{__name__!r} is a link for readers: import robolearn.policies instead")
