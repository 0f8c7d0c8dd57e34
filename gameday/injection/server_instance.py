"""Which process a server of ours is, so that one that has ended since is known to have.

Only a server that the stack started can be known so: by its PID and its start time, as seen from
where it was started. Another machine, or a container of its own, sees other processes, and can tell
nothing by them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gameday.core.secrets.redaction import MASK
from gameday.injection.process.process import start_time
from gameday.injection.process.spec import Launch
from gameday.injection.proof import here


def of(part: Path | None) -> dict[str, Any]:
    """Which process a part of the stack is now, for the record of a change made on it."""
    launch = None if part is None else Launch.read(part)
    if launch is None or not launch.runs():
        return {}
    return {"instance": {"pid": launch.pid, "start_time": launch.start_time, "seen_from": here()}}


def ended(data: Mapping[str, Any]) -> str:
    """Proof in words that the server of a change has ended since, "" where there is none."""
    known = data.get("instance")
    if known is not None:
        if known["seen_from"] != here() or start_time(known["pid"]) == known["start_time"]:
            return ""
        return f"its server (process {known['pid']}) has ended since, and its changes with it"
    part = data.get("part")
    if part is None or MASK in part:
        return ""
    launch = Launch.read(Path(part))
    if launch is None:
        return "the stack that it was a part of is gone"
    return "" if launch.runs() else f"its server (process {launch.pid}) has ended"
