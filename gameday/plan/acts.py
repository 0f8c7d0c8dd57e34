"""Acts before a run, in words: for the plan, and for the journal."""

import shlex
from collections.abc import Iterator
from typing import Final

from gameday.core.errors import excerpt
from gameday.core.messages import Message
from gameday.plan.finding import Finding
from gameday.spec.campaign import Act, CommandAct, SqlAct
from gameday.spec.system import System

_SHOWN: Final = 300  # characters


def act_in_words(act: Act) -> str:
    """One of them: the request, the statements, or the command, as the file writes it."""
    if isinstance(act, SqlAct):
        return excerpt(f"{act.store}: {'; '.join(act.statements)}", _SHOWN)
    if isinstance(act, CommandAct):
        return excerpt(shlex.join(act.command), _SHOWN)
    return excerpt(f"{act.method} {act.path}", _SHOWN)


def findings(system: System) -> Iterator[Finding]:
    """A line for each, in their order."""
    for number, act in enumerate(system.before_run):
        text = Message("finding.before_run", act=act_in_words(act))
        yield Finding(f"before_run.{number}", "ok", text)
