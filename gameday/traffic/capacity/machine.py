"""Limits of this machine for a traffic generator: open files, own ports, and a measured rate."""

import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PORT_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
SPARE_FILES: Final = 100  # standard streams, libraries, history files and sockets to the controller


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """None: there is no such limit, or it is not known.

    `files` is the hard limit, to which every worker raises its own; `ports` how many connections
    there can be to one address; `kept_per_s` how many requests all workers were measured to keep.
    """

    files: int | None = None
    ports: int | None = None
    kept_per_s: float | None = None


def this_machine(kept_per_s: float | None = None) -> Machine:
    """The limits of this process, which its children inherit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = None if hard == resource.RLIM_INFINITY else hard
    return Machine(files=files, ports=_own_ports(), kept_per_s=kept_per_s)


def _own_ports() -> int | None:
    if not PORT_RANGE.exists():
        return None
    low, high = (int(text) for text in PORT_RANGE.read_text().split())
    return high - low + 1
