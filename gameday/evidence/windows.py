"""The stretches of a run by name: before the faults, during each, and after each.

`before` ends where the first fault was being injected; `during-<id>` is from a fault's injection
to its removal; `after-<id>` from there until another fault came. A request belongs where it was
due, so one that was asked before a fault and answered in it is of before. They are k6 tags:
`http_req_duration{window:during-network-latency-1}`.
"""

from collections.abc import Mapping, Sequence

from gameday.evidence.timeline import Timeline
from gameday.traffic.metrics.k6_metrics import Window

FOREVER = 2**62


def windows(line: Timeline) -> Mapping[str, Sequence[Window]]:
    """The stretches, in order; none where there was no fault."""
    faults = sorted(
        (fault for fault in line.faults if fault.injecting_ns is not None),
        key=lambda fault: fault.injecting_ns or 0,
    )
    if not faults:
        return {}
    begun = [fault.injecting_ns or 0 for fault in faults]
    found: dict[str, Sequence[Window]] = {"before": [(line.t0_ns or 0, begun[0])]}
    for fault in faults:
        begin_ns = fault.injecting_ns if fault.injected_ns is None else fault.injected_ns
        end_ns = FOREVER if fault.removed_ns is None else fault.removed_ns
        found[f"during-{fault.id}"] = [(begin_ns or 0, end_ns)]
        if end_ns < FOREVER:
            following = min((t for t in begun if t >= end_ns), default=FOREVER)
            found[f"after-{fault.id}"] = [(end_ns, following)]
    return found
