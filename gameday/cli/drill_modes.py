"""`gameday drill` without a system: the tabletop, and a recorded run that plays again."""

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gameday.cli.terminal import echo
from gameday.cli.words import say
from gameday.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gameday.evidence.sealed_box import Box

SLOWEST: Final = 1.0
FASTEST: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeOptions:
    """The command line of `drill`, as far as these modes need it.

    `begun` is told the run directory and the box of a session that has begun. `show_plan`: tell the
    facilitator what is planned, on this terminal.
    """

    runs_dir: Path
    system: str | None = None
    seed: int | None = None
    speed: float = 1.0
    window_s: float = 0.0
    maybe_nothing: float = 0.0
    key_file: Path | None = None
    show_plan: bool = False
    begun: "Callable[[Path, Box], None] | None" = field(default=None)


def tabletop(experiment: str, asked: ModeOptions) -> Path:
    """Hold a tabletop to its end; where its evidence is."""
    from gameday.core.clock import SystemClock
    from gameday.core.network import event_loop
    from gameday.drills.scenario import Setting
    from gameday.drills.tabletop import Table
    from gameday.drills.tabletop import tabletop as play
    from gameday.plan.validate import validate_drill
    from gameday.spec.inputs import find_system, load_drill, load_system

    _check_speed(asked.speed)
    drilled = load_drill(experiment, asked.seed)
    system = load_system(find_system(asked.system))
    validate_drill(drilled, system)
    setting = Setting(
        mode="tabletop",
        window_s=asked.window_s,
        maybe_nothing=asked.maybe_nothing,
        speed=asked.speed,
    )
    with _sealing(asked) as (box, begun):
        table = Table(
            drilled=drilled, system=system, runs_dir=asked.runs_dir, setting=setting, box=box
        )
        return event_loop.run(play(table, SystemClock(), begun))


def replay(run: str, asked: ModeOptions) -> Path:
    """Play a recorded run again to its end; where its evidence is."""
    from gameday.cli.find_run import find_run
    from gameday.core.clock import SystemClock
    from gameday.core.network import event_loop
    from gameday.drills.replay import Played
    from gameday.drills.replay import replay as play

    _check_speed(asked.speed)
    run_dir = find_run(run, asked.runs_dir)
    with _sealing(asked) as (box, begun):
        played = Played(
            run_dir=run_dir, runs_dir=asked.runs_dir, speed=asked.speed, seed=asked.seed, box=box
        )
        return event_loop.run(play(played, SystemClock(), begun))


@contextmanager
def _sealing(asked: ModeOptions) -> "Iterator[tuple[Box, Callable[[Path, Box], None]]]":
    """The box of a session, its key written down where asked, and who is told of the begin."""
    from gameday.cli.drill import key_written
    from gameday.evidence.sealed_box import Box

    folders: list[Path] = []

    def begun(folder: Path, box: "Box") -> None:
        folders.append(folder)
        (asked.begun or tell_begun)(folder, box)
        if asked.show_plan:
            tell_plan(folder, box)

    box = Box.new()
    with key_written(asked.key_file, box, lambda: bool(folders)):
        yield box, begun


def tell_begun(folder: Path, box: "Box") -> None:
    """Say where the session is, what the team is told, and how the facilitator takes part."""
    from gameday.evidence import events, journal

    started = journal.first(journal.read(folder / "journal.jsonl").records, events.DrillStarted)
    echo(say("session", name=shown_name(folder), path=folder))
    if started is not None:
        echo(started.event.briefing)
        for number, text in enumerate(started.event.hypotheses, start=1):
            echo(f"  {number}. {text}")
    echo(say("session_team"))
    echo(say("session_leader", token=box.token))


def tell_plan(folder: Path, box: "Box") -> None:
    """Say what is true and what is planned: this terminal is the facilitator's alone."""
    from gameday.evidence import events, journal

    for record in journal.read(folder / "journal.jsonl", box).records:
        match record.event:
            case events.DrillPlanned() as planned:
                right, of = "; ".join(planned.right), planned.experiment
                echo(say("plan_true", right=right, severity=planned.severity, experiment=of))
            case events.DrillHintPlanned() as hint:
                shown = {"number": hint.number, "after_s": hint.after_s, "text": hint.text}
                echo(say("plan_hint", **shown))
            case events.DrillInjectPlanned() as inject:
                said = {"number": inject.number, "to": inject.to, "text": inject.text}
                kind = "plan_inject_on" if inject.on else "plan_inject_at"
                echo(say(kind, on=inject.on, at_s=inject.at_s, **said))
            case _:
                continue


def shown_name(folder: Path) -> str:
    """The short name of a session: `drill-7f3a`."""
    return "-".join(folder.name.split("-")[1:])


def _check_speed(speed: float) -> None:
    if not SLOWEST <= speed <= FASTEST:
        problem = f"--speed {speed:g} is not between {SLOWEST:g} and {FASTEST:g}"
        raise UsageError(problem, help="1 is as it was, 20 the fastest")
