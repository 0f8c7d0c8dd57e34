"""The toxics, one small class each: what can be done to the bytes of one direction.

To add one: write a `ToxicStage` in a file of its own, name its type and its attributes with their
ranges, say when a chunk may go or what goes of it, and add the class to the list below.
"""

from gameday.toxiproxy.toxics.bandwidth import BandwidthToxic
from gameday.toxiproxy.toxics.latency import LatencyToxic
from gameday.toxiproxy.toxics.limit_data import LimitDataToxic
from gameday.toxiproxy.toxics.reset_peer import ResetPeerToxic
from gameday.toxiproxy.toxics.slicer import SlicerToxic
from gameday.toxiproxy.toxics.slow_close import SlowCloseToxic
from gameday.toxiproxy.toxics.stage import ToxicStage
from gameday.toxiproxy.toxics.timeout import TimeoutToxic

TYPES: dict[str, type[ToxicStage]] = {
    stage.type: stage
    for stage in (
        ToxicStage,
        LatencyToxic,
        BandwidthToxic,
        SlowCloseToxic,
        TimeoutToxic,
        ResetPeerToxic,
        SlicerToxic,
        LimitDataToxic,
    )
}
