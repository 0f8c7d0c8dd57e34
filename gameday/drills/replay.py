"""The replay: a recorded run plays again, as fast or faster, with nothing behind it.

What was measured, the alerts in it and the logs appear at the recorded instants. What people do now
is recorded; what came of the same act in that run is what they are told. What was true then is the
facilitator's. A replay of a drill has that drill's plan; of any other run, one that is made of its
files, as for a live drill.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, takewhile
from pathlib import Path
from typing import Any, Final

from gameday.core import files, settings
from gameday.core.clock import NS, Clock, wall_time_ns
from gameday.core.errors import FileError, UsageError
from gameday.core.messages import Message
from gameday.drills.detached import Begun, Detached, Opening, detached
from gameday.drills.recording import (
    LEFT_OUT,
    SAMPLES,
    Instant,
    RecordedActs,
    Recording,
    load_recording,
    log_lines,
    redated,
)
from gameday.drills.scenario import SessionPlan, Setting, scenario_of
from gameday.drills.tabletop import offered_playbooks, offering
from gameday.evidence import events, journal
from gameday.evidence.sealed_box import Box
from gameday.evidence.sealed_inputs import OFFERED
from gameday.spec.inputs import (
    Inputs,
    LoadedDrill,
    LoadedPlaybook,
    find_playbook,
    load_drill,
    load_playbook,
    load_system,
)

GRACE_S: Final = 120.0  # of the recording, for the all-clear and the last words
EFFECTIVE: Final = "effective.json"
_INPUTS_BYTES: Final = 16 * files.MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A recorded run that is to be played, and its speed."""

    run_dir: Path
    runs_dir: Path
    speed: float = 1.0
    seed: int | None = None
    language: str = field(default_factory=settings.language)
    box: Box = field(default_factory=Box.new)


async def replay(played: Played, clock: Clock, begun: Begun) -> Path:
    """Play it to its end; the run directory. Raises UsageError for a run that cannot be played."""
    recording = load_recording(played.run_dir)
    books = offered_playbooks(recording.effective.system)
    plan = offering(_plan(recording, played), books)
    opening = Opening(
        runs_dir=played.runs_dir,
        plan=plan,
        real=recording.effective.experiment,
        system=recording.effective.system,
        books=books,
        inputs=lambda run: _files(run, recording),
        speed=played.speed,
        lead_s=-recording.begins_s,
        box=played.box,
    )
    acts = RecordedActs(recording.records)
    async with detached(opening, clock, begun) as session:
        session.end_acts_by(lambda act: acts.end_of(act, played.speed))
        playing = _Playing(session, recording)
        await session.hold(playing.work(), recording.ends_s + GRACE_S)
    return session.dir


def _plan(recording: Recording, played: Played) -> SessionPlan:
    """The plan of the drill that was recorded, else one made of the run's files."""
    setting = Setting(mode="replay", speed=played.speed, language=played.language)
    plan = _recorded_plan(recording) or _made_plan(recording, setting, played.seed)
    started = replace(
        plan.started, mode="replay", speed=played.speed, window_s=0.0, hints=len(plan.hints)
    )
    names = {shown: own for own, shown in recording.names.items()}
    planned = replace(
        plan.planned, path=str(recording.dir), fault_at_s=recording.fault_at_s, names=names
    )
    return replace(plan, started=started, planned=planned)


def _recorded_plan(recording: Recording) -> SessionPlan | None:
    records = recording.records
    started = journal.first(records, events.DrillStarted)
    planned = journal.first(records, events.DrillPlanned)
    if started is None or planned is None:
        return None
    return SessionPlan(
        started=started.event,
        planned=planned.event,
        hints=[each.event for each in journal.every(records, events.DrillHintPlanned)],
        injects=[each.event for each in journal.every(records, events.DrillInjectPlanned)],
    )


def _made_plan(recording: Recording, setting: Setting, seed: int | None) -> SessionPlan:
    """The plan of the run's experiment as it ran, with what the file says of its drill."""
    folder = recording.dir / "inputs"
    path = folder / "experiment.yaml"
    try:
        drilled = load_drill(str(path), seed, setting.language)
        system = load_system(folder / "system.yaml")
    except (FileError, UsageError) as error:
        problem = f"{recording.dir}: its inputs cannot be read: {error.message}"
        raise UsageError(problem, help="replay another run") from error
    seed = drilled.loaded.experiment.seed
    ran = recording.effective.experiment.model_copy(update={"seed": seed})
    drilled = replace(drilled, loaded=replace(drilled.loaded, experiment=ran))
    # Its playbook is beside the other files, its rules are not needed.
    inputs = Inputs(drilled.loaded, system, _playbook(drilled))
    return scenario_of(drilled, inputs, setting)


def _playbook(drilled: LoadedDrill) -> LoadedPlaybook | None:
    name = drilled.loaded.experiment.playbook
    if name is None:
        return None
    beside = drilled.loaded.path.parent / "playbook.md"
    path = beside if beside.exists() else find_playbook(name, drilled.loaded.path)
    return None if path is None else load_playbook(path)


def _files(run: str, recording: Recording) -> dict[str, bytes]:
    """The files of the recorded run by their names below `inputs/`, with the id of this one."""
    folder = recording.dir / "inputs"
    found = {
        path.relative_to(folder).as_posix(): files.read_bytes(path, _INPUTS_BYTES)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.parent != recording.dir / OFFERED  # it offers those of today
    }
    recorded = recording.effective.run.encode()
    return {**found, EFFECTIVE: found[EFFECTIVE].replace(recorded, run.encode())}


class _Playing:
    """The recording as it appears in a session."""

    def __init__(self, session: Detached, recording: Recording) -> None:
        self._session = session
        self._recording = recording
        self._speed = session.opening.speed
        self._t0_wall = datetime.fromtimestamp(wall_time_ns() / NS, UTC) - timedelta(
            seconds=(session.clock.now_ns() - session.t0_ns) / NS
        )

    async def work(self) -> None:
        """Play it all, side by side; then wait for the end of the session."""
        recording = self._recording
        parts: list[Coroutine[Any, Any, None]] = [self._measure(), self._report(recording.truth)]
        parts += [self._log(path) for path in recording.logs()]
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
        await self._session.until(recording.ends_s)
        over = Message("drill.recording_over", grace_s=GRACE_S).text(settings.language())
        self._session.session.say(over)
        await asyncio.Event().wait()

    async def _report(self, truth: Sequence[Instant]) -> None:
        for each in truth:
            await self._session.until(each.at_s)
            self._session.truth(each.what, each.fault, each.text)

    async def _measure(self) -> None:
        """Each line when it was measured; what names its series, just before it is needed."""
        session, recording = self._session, self._recording
        with (session.dir / SAMPLES).open("ab") as file:
            for at_s, line in recording.measured(self._moved_ns, self._damaged):
                if at_s is not None:
                    await session.until(at_s)
                file.write(line)
                file.flush()
                session.readings.hear(line)
                if session.readings.firing():
                    session.session.alert()

    async def _log(self, path: Path) -> None:
        """Each line of a log when it was written; those of before the traffic, at once.

        Not what tells how its stack was taken down, and no log of which no line has an instant of
        the recording: it would tell of the fault before it comes.
        """
        session, recording = self._session, self._recording
        lines = takewhile(lambda line: line[0] <= recording.ends_s, log_lines(path, recording))
        first = next(lines, None)
        if first is None:
            if path.stat().st_size:
                self._leave_out(Message("drill.log_left_out", log=path.name))
            return
        with (session.dir / "logs" / path.name).open("a", encoding="utf-8") as file:
            for at_s, text in chain([first], lines):
                await session.until(at_s)
                file.write(recording.neutral(redated(text, self._redate)) + "\n")
                file.flush()

    def _damaged(self, why: str) -> None:
        """Tell the facilitator that what was measured ends here."""
        self._leave_out(Message("drill.samples_left_out", why=why))

    def _leave_out(self, why: Message) -> None:
        self._session.truth(LEFT_OUT, text=why.text())

    def _moved_ns(self, t_ns: float) -> float:
        """An instant of the recording in this session (ns)."""
        return self._session.t0_ns + (t_ns - self._recording.t0_ns) / self._speed

    def _redate(self, instant: datetime) -> datetime:
        """The same of the time of day."""
        since = (instant - self._recording.wall_t0).total_seconds()
        return self._t0_wall + timedelta(seconds=since / self._speed)
