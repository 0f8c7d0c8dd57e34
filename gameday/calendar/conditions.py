"""Go / no-go conditions: asked before a day begins, or before each experiment.

Only a clear yes means go; how a question is asked, and what counts as yes, stands in `asking`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gameday.calendar.asking import QuestionReply, ask_command, ask_expression, in_time
from gameday.core.messages import Message
from gameday.core.secrets.redaction import nothing
from gameday.spec.day import Condition
from gameday.spec.server import server
from gameday.spec.system import System


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to one condition; `why` says what was seen, and `message` has it by its id."""

    name: str
    go: bool
    why: str
    message: Message | None = None


@dataclass(frozen=True, slots=True)
class Asker:
    """Whatever a condition is asked with: the system, the folder of the day, the environment."""

    system: System
    folder: Path
    environment: Mapping[str, str]
    hide: Callable[[str], str] = nothing
    stopped: Callable[[], bool] = lambda: False


async def ask(condition: Condition, by: Asker) -> Answered:
    """Ask one condition, within its time."""
    answer = await in_time(_asked(condition, by), condition.timeout.total_seconds(), by.stopped)
    seen = answer.seen
    return Answered(condition.name, answer.holds is True, seen.text(), seen)


async def _asked(condition: Condition, by: Asker) -> QuestionReply:
    if condition.command:
        return await ask_command(condition.command, by.folder, by.environment, by.hide)
    return await ask_expression(condition.expr or "", server(condition.prometheus), by.system)
