"""The toxics, one small class each: what can be done to the bytes of one direction.

To add one: write a `Stage` in a file of its own, name its type and its attributes with their
ranges, say when a chunk may go or what goes of it, and add the class to the list below.
"""

from gameday.toxiproxy.toxics.bandwidth import Bandwidth
from gameday.toxiproxy.toxics.latency import Latency
from gameday.toxiproxy.toxics.limit_data import LimitData
from gameday.toxiproxy.toxics.reset_peer import ResetPeer
from gameday.toxiproxy.toxics.slicer import Slicer
from gameday.toxiproxy.toxics.slow_close import SlowClose
from gameday.toxiproxy.toxics.stage import Stage
from gameday.toxiproxy.toxics.timeout import Timeout

TYPES: dict[str, type[Stage]] = {
    stage.type: stage
    for stage in (Stage, Latency, Bandwidth, SlowClose, Timeout, ResetPeer, Slicer, LimitData)
}
