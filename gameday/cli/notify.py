"""`gameday notify`: see whether notifications arrive; and what a run and its verdict are told by.

Without a variable of the environment that asks for it, nothing of notifications is imported.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from gameday.cli.terminal import echo, output, warn
from gameday.core import settings
from gameday.core.errors import ExitCode, UsageError
from gameday.core.settings.notify import VARIABLES, anybody_is_told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gameday.evidence.model import Evidence
    from gameday.judge.result import Result
    from gameday.report.notify import Channel, RunFollower, RunTitle
    from gameday.spec.inputs import Inputs

NOTIFY_END_S: Final = (
    10.0  # what is left to be told at the end of a run; the verdict stands by then
)


def say(text: str) -> None:
    """A notification on this terminal, beside what a program may read from stdout."""
    echo(text, err=True)


class ToldRun:
    """A run that people are told of from its beginning to its end; nothing where nobody is."""

    def __init__(self, inputs: "Inputs", stack: str, *, is_drill: bool) -> None:
        self._inputs = inputs
        self._stack = stack
        self._is_drill = is_drill
        self._follower: RunFollower | None = None
        self._to: Sequence[Channel] = ()
        if anybody_is_told(os.environ):
            from gameday.report.notify import channels, environment_problems

            for problem in environment_problems(os.environ):
                warn(f"{problem} (nobody is told there)")
            # On a terminal the screen shows what the console would say.
            self._to = channels(os.environ, None if output(err=True).isatty() else say)

    def begin(self, folder: Path) -> None:
        """Begin to follow the run."""
        if self._to:
            from gameday.report.notify import FILE, AttemptLog, Outbox, RunFollower

            outbox = Outbox(self._to, AttemptLog(folder / FILE), language=settings.language())
            self._follower = RunFollower(folder, self._title(folder), outbox)
            self._follower.start()

    def finish(self) -> None:
        """Take a last look; what is still on its way has some time, for which nobody waits."""
        if self._follower is not None:
            self._follower.finish(NOTIFY_END_S)

    def _title(self, folder: Path) -> "RunTitle":
        from gameday.report.notify import RunTitle

        if self._is_drill:
            return RunTitle(run=folder.name, is_drill=True)
        experiment = self._inputs.experiment.experiment
        return RunTitle(
            run=folder.name,
            experiment=experiment.name,
            title=_translated(experiment.title),
            stack=self._stack,
        )


def tell_verdict(run_dir: Path, result: "Result", evidence: "Evidence") -> None:
    """Tell how a run ended, once its verdict stands; Ctrl-C ends the waiting and nothing else."""
    if not anybody_is_told(os.environ):
        return
    from gameday.evidence.events import DrillStarted
    from gameday.evidence.journal import first
    from gameday.report.notify import announce, run_finished

    is_drill = first(evidence.journal, DrillStarted) is not None
    notice = run_finished(result, _title_of(evidence), is_drill=is_drill)
    try:
        announce(notice, run_dir, within_s=NOTIFY_END_S, say=say, language=settings.language())
    except KeyboardInterrupt:
        echo("the last notification is not waited for", err=True)


def summarise_step(result: "Result", evidence: "Evidence") -> None:
    """Write the verdict on the page of the GitHub Actions job that this is part of, if it is."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    from gameday.report.step_summary import append

    try:
        append(Path(path), result, _title_of(evidence), settings.language())
    except OSError as error:
        warn(f"GITHUB_STEP_SUMMARY cannot be written: {error.strerror}")


def _title_of(evidence: "Evidence") -> str:
    return "" if evidence.effective is None else _translated(evidence.experiment.title)


def _translated(title: str) -> str:
    """The title as readers of this language know it, where it is that of a shipped experiment."""
    from gameday.spec.translations import translated

    return translated(title, settings.language())


@click.command()
@click.argument("text", default="")
def notify(text: str) -> None:
    """Send a test message, with TEXT, to every channel that the environment names.

    GAMEDAY_SLACK_WEBHOOK and GAMEDAY_WEBHOOK are addresses, GAMEDAY_WEBHOOK_SECRET signs what the
    second is sent, GAMEDAY_NOTIFY is console or off. Exit code 0 when all took it, else 3.
    """
    from gameday.report.notify import announce, environment_problems, trial_notice

    problems = environment_problems(os.environ)
    for problem in problems:
        warn(str(problem))
    attempts = announce(trial_notice(text), within_s=30.0, say=say, language=settings.language())
    if not attempts and not problems:
        raise UsageError(
            "nobody is to be told", help=f"set one of {', '.join(VARIABLES)}: docs/notifications.md"
        )
    for each in attempts:
        why = f" ({each.why})" if each.why else ""
        echo(f"{each.channel}: attempt {each.attempt}: {each.outcome}{why}")
    reached = {each.channel for each in attempts if each.outcome == "delivered"}
    all_reached = not problems and reached == {each.channel for each in attempts}
    sys.exit(ExitCode.PASSED if all_reached else ExitCode.UNKNOWN)
