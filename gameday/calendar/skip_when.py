"""`skip_when`: whatever keeps a day from beginning now.

A question that nobody can answer counts as yes: whoever wrote the condition wanted to be sure. How
it is asked, and what counts as yes, stands in `asking`. All parts are asked at the same time, so
that a day is not late because its questions are slow.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

from gameday.calendar.asking import QuestionReply, ask_alerts, ask_command, ask_expression, in_time
from gameday.core.errors import excerpt
from gameday.core.messages import Message
from gameday.core.network import event_loop
from gameday.core.network.allow_list import Allowed
from gameday.core.secrets.redaction import Hidden, telling
from gameday.injection.drivers.request import secrets_of
from gameday.spec.schedule import SkipWhen
from gameday.spec.system import System

MOST_NAMED: Final = 5
IDLE_ALERTS: Final = ("Watchdog", "InfoInhibitor")  # always fire, by the rules of kube-prometheus
_Part = tuple[Coroutine[Any, Any, QuestionReply], Callable[[QuestionReply], Message]]


def why_skip(
    asked: SkipWhen, system: System | None, folder: Path, allowed: Allowed
) -> Message | None:
    """The first condition that holds, else the first that nobody can tell, else None.

    Raises nothing of its own.
    """
    parts = list(_parts(asked, system, folder))
    if not parts:
        return None
    limit_s = asked.timeout.total_seconds()

    async def every() -> Sequence[QuestionReply]:
        return await asyncio.gather(*(in_time(question, limit_s) for question, _ in parts))

    answers = event_loop.run(every(), allowed)
    told = [(answer.holds, say(answer)) for answer, (_, say) in zip(answers, parts, strict=True)]
    against = [why for holds, why in told if holds] + [why for holds, why in told if holds is None]
    return against[0] if against else None


def _parts(asked: SkipWhen, system: System | None, folder: Path) -> Sequence[_Part]:
    """Each question, and what its answer says against the day."""
    parts: list[_Part] = []
    if asked.command is not None:
        of_system = secrets_of(system, os.environ) if system is not None else ()
        hide = Hidden([*of_system, *telling(os.environ)])  # it has all of the environment
        question = ask_command(asked.command, folder, os.environ, hide)
        shown = excerpt(hide(" ".join(asked.command)))
        parts.append((question, lambda answer: _of_command(answer, shown)))
    if asked.alerts is not None:
        parts.append((_any_of(asked.alerts, system), _of_alerts))
    if asked.expr is not None:
        expr = asked.expr
        parts.append((ask_expression(expr, None, system), lambda answer: _of_expr(answer, expr)))
    return parts


def _of_command(answer: QuestionReply, shown: str) -> Message:
    if answer.holds is None:
        told = "schedule.left_out.command_unknown"
        return Message(told, command=shown, problem=answer.seen)
    return Message("schedule.left_out.command_seen", command=shown, seen=answer.seen)


async def _any_of(names: Sequence[str] | str, system: System | None) -> QuestionReply:
    """Ask whether one of them fires, or any; `seen` names those that do."""
    firing = await ask_alerts(system)
    if firing.names is None:
        assert firing.problem is not None
        return QuestionReply(None, firing.problem)
    idle = set(IDLE_ALERTS)
    meant = firing.names - idle if isinstance(names, str) else firing.names & set(names)
    shown = [excerpt(each) for each in sorted(meant)]
    more = ["…"] if len(shown) > MOST_NAMED else []
    told = ", ".join([*shown[:MOST_NAMED], *more])
    return QuestionReply(bool(meant), Message("schedule.left_out.alerts", alerts=told))


def _of_alerts(answer: QuestionReply) -> Message:
    if answer.holds is None:
        return Message("schedule.left_out.alerts_unknown", problem=answer.seen)
    return answer.seen


def _of_expr(answer: QuestionReply, expr: str) -> Message:
    shown = excerpt(expr)
    if answer.holds is None:
        return Message("schedule.left_out.expr_unknown", expr=shown, problem=answer.seen)
    return Message("schedule.left_out.expr_seen", expr=shown, seen=answer.seen)
