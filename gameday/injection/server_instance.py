"""Which process a server of ours is, so that one that has ended since is known to have.

Only a server that the stack started can be known so: by its PID and its start time, as seen from
where it was started, or by its containers. Another machine, or a container of its own, sees other
processes, and can tell nothing by them; what an engine cannot be asked is not known either.
"""

import asyncio
from pathlib import Path

from gameday.core.processes.deadlines import in_time
from gameday.core.secrets.redaction import MASK
from gameday.injection import engine
from gameday.injection.engine import EngineError
from gameday.injection.process.launch import Launch
from gameday.injection.process.process import start_time
from gameday.injection.removal_proof import here, was_masked
from gameday.spec.undos import Instance, NetworkUndo, ProjectUndo, StoreUndo

ENGINE_S = 5.0  # it answers in 50 ms; a removal that is stuck has 10 s for all that it tries


def of(part: Path | None) -> Instance | None:
    """Which process a part of the stack is now, for the record of a change made on it."""
    launch = None if part is None else Launch.read(part)
    if launch is None or not launch.runs():
        return None
    return Instance(pid=launch.pid, start_time=launch.start_time, seen_from=here())


async def ended(record: NetworkUndo | StoreUndo) -> str:
    """Proof in words that the server of a change has ended since, "" where there is none."""
    if record.project is not None:
        return await gone_with(record.project)
    known = record.instance
    if known is not None:
        if known.seen_from != here() or start_time(known.pid) == known.start_time:
            return ""
        return f"its server (process {known.pid}) has ended since, and its changes with it"
    if record.part is None or MASK in str(record.part):
        return ""
    launch = Launch.read(record.part)
    if launch is None:
        return "the stack that it was a part of is gone"
    return "" if launch.runs() else f"its server (process {launch.pid}) has ended"


async def gone_with(project: ProjectUndo | None) -> str:
    """Proof in words that the engine has no container of a project any more, "" without one."""
    if project is None or was_masked(project):
        return ""
    try:
        there = await in_time(asyncio.to_thread(engine.containers_of, project), ENGINE_S)
    except (EngineError, TimeoutError):
        return ""
    return "" if there else f"the stack {project.name} is gone with its containers"
