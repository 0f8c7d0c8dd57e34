"""A run from its directory to its end: stack, preflight, traffic and faults, ending.

The journal's first line is written before anything is started, its last after everything is
stopped. Whatever goes wrong in between, faults are undone, the stores audited as far as they
answer, and the stack taken down.
"""

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from gameday import __version__
from gameday.core.clock import NS, Clock, boot_id, boottime_ns, wall_time_ns
from gameday.core.errors import GamedayError, StackError, UnknownError, UsageError
from gameday.core.files.logs import hide_in_file
from gameday.core.files.private import state_dir
from gameday.core.processes.deadlines import in_time
from gameday.core.secrets.redaction import Hidden, telling
from gameday.core.secrets.signing import SigningKey, read_or_make_key
from gameday.core.stack_registry import STACKS
from gameday.evidence import events, seal, sealed_inputs
from gameday.evidence.journal import Journal, LiveJournal
from gameday.evidence.journal_lengths import Length
from gameday.injection.drivers.request import Sender, secrets_of
from gameday.injection.drivers.scale import scaled
from gameday.injection.process.process import record as process_record
from gameday.plan import generator
from gameday.run import execute, hold, locks, log_search, preflight, teardown
from gameday.run.autoscaler import ReplicaScaler
from gameday.run.child_config import start_children
from gameday.run.children import Child, Traffic
from gameday.run.context import Abort, Begun, Options, Run, unless_aborted
from gameday.run.control_socket import ControlSocket, signals
from gameday.run.drill import DrillHooks
from gameday.run.forced_exit import Leaving
from gameday.run.readings import Readings
from gameday.run.reaper_client import Reaper
from gameday.run.remote_lock import marking
from gameday.run.replica_state import Replicas
from gameday.run.responder.bot import Bot
from gameday.run.responder.command import Command, Program
from gameday.run.responder.hands import Hands
from gameday.run.responder.incident import Incident, Responder
from gameday.run.responder.replay import Replay
from gameday.run.run_dir import command_files, coupon_of, lay_out, new_run_id, write_effective
from gameday.spec.inputs import Inputs
from gameday.spec.request import FromEnv
from gameday.spec.server import Server
from gameday.spec.targets import refuse_foreign
from gameday.spec.undos import Undo
from gameday.spec.users_hidden import Hide, hiding
from gameday.stacks.persistent import PersistentStack
from gameday.stacks.stack import Running, Stack, StackWorkdir, new_work_dir
from gameday.traffic.capacity.calibration import workers_for
from gameday.traffic.forecast import traffic_end_s

STACK_CANCEL_S = 60.0  # a start that is under way ends what it has begun
AFTERWARDS_S = 60.0  # for each of what is done once all is collected
T = TypeVar("T")
REAPER_LOG = "reaper.log"
# Room, files, memory or processes: what a machine has too little of, and no bug.
EXHAUSTED = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
PREFLIGHT_GRACE_S = 2.0  # for its request that is under way when the run is aborted


@dataclass(frozen=True, slots=True)
class Conducted:
    """Path of the evidence, and the error that ended the run early, if any."""

    dir: Path
    error: GamedayError | None


async def conduct(
    inputs: Inputs,
    stack: Stack,
    options: Options,
    clock: Clock,
    begun: Callable[[Path], None],
    *,
    drill: DrillHooks | None = None,
) -> Conducted:
    """Run an experiment on a stack. Evidence is left whatever happens; judging is not done here.

    In a drill `inputs` are disguised, and what a trainee must not read is sealed to its end.
    """
    hold.refuse()
    start = _begin(inputs, options, clock, read_or_make_key(state_dir()), drill)
    begun(start.dir)
    box = None if drill is None else drill.box
    leaving = Leaving(start.dir, start.reaper, start.abort, box)
    with leaving, signals(start.control, leaving.at_once):
        return await _conduct(inputs, stack, options, start)


async def _conduct(inputs: Inputs, stack: Stack, options: Options, start: "_Start") -> Conducted:
    error: GamedayError | None = None
    try:
        await start.control.open(options.runs_dir)
        await start.reaper.launch(start.key, start.journal.box)
        await asyncio.gather(start.traffic.child.launch(), start.collector.launch())
        if not start.abort.event.is_set():
            await _on_stack(inputs, stack, options, start)
    except (GamedayError, OSError) as caught:
        error = _ends(start, caught)
        if error is None:
            raise
    except BaseException as caught:
        _give_up(start.abort, caught)
        raise
    finally:
        await asyncio.shield(_clear_away(stack, start))
        start.control.close()
    if start.journal.problem:
        cure = f"make room, then: gameday heal {start.dir}"
        error = UnknownError(start.journal.problem, help=cure)
    if error is not None:
        error.message = start.journal.hide(error.message)
    return Conducted(start.dir, error)


def _hide_in_logs(start: "_Start") -> None:
    """Mask the secrets in the system's own logs; all else in them stays."""
    for path in sorted((start.dir / "logs").glob("*.log")):
        if path.name != REAPER_LOG:  # it is still being written
            try:
                hide_in_file(path, start.journal.hide)
            except OSError as error:
                start.journal.write(events.Phase(phase="logs", problem=f"{path.name}: {error}"))


def _search_logs(start: "_Start") -> None:
    """Look for the lines that the experiment expects, once no secret is in the logs."""
    run = start.control.run
    expected = run.experiment.expect.logs if isinstance(run, Run) else ()
    try:
        log_search.search(start, expected, start.began)
    except (OSError, ValueError) as error:
        start.journal.write(events.Phase(phase="logs", problem=str(error)))


def _ends(start: "_Start", caught: GamedayError | OSError) -> GamedayError | None:
    """End the run for an error, and journal that it was refused if that was bad usage."""
    error = _give_up(start.abort, caught)
    if isinstance(error, UsageError):
        start.journal.write(events.RunRefused(why=error.message))
    return error


def _give_up(abort: Abort, error: BaseException) -> GamedayError | None:
    """End the run for an error; it, as one that gameday knows, or None when it is a bug of ours."""
    known = error if isinstance(error, GamedayError) else None
    if isinstance(error, OSError) and error.errno in EXHAUSTED:
        known = StackError(f"this machine has run out: {error}", help="gameday doctor")
    if known is not None and known.exit_code != GamedayError.exit_code:
        abort("unhealthy", known.message)
    else:
        abort("error", repr(error))
    return known


def _begin(
    inputs: Inputs, options: Options, clock: Clock, key: SigningKey, drill: DrillHooks | None
) -> "_Start":
    """The run directory, and the first line of its journal."""
    experiment = inputs.experiment.experiment
    run = new_run_id(experiment.name)
    abort = Abort()
    try:
        folder, sums = lay_out(options.runs_dir, run, inputs, drill)
        clock_id = boot_id()[:8] or "host"
        path = folder / "journal.jsonl"
        stock = experiment.campaign.stock
        write_effective(folder, inputs, inputs.system.system, options, stock=stock, drill=drill)
        journal = LiveJournal(path, clock, clock_id, lambda why: abort("interrupted", why))
    except OSError as error:
        raise UsageError(
            f"no run can be written to {options.runs_dir}: {error.strerror}",
            help="make room, or name another folder: --runs DIR",
        ) from error
    journal.key = key
    journal.box = None if drill is None else drill.box
    with suppress(OSError):  # then nobody will see that its end was cut off; all else is as ever
        journal.length = Length(state_dir(), run)
    began = log_search.Began(clock.now_ns(), wall_time_ns())
    journal.write(
        events.RunStarted(
            run=run,
            controller=process_record(os.getpid(), "gameday run").as_json(),
            experiment=experiment.name,
            stack=options.stack,
            allowed=sorted(options.allowed.hosts),
            seed=experiment.seed if drill is None else None,
            wall_ns=wall_time_ns(),
            boottime_ns=boottime_ns(),
            boot_id=boot_id(),
            inputs=sums,
            gameday=__version__,
            masked=events.MASKED,
        )
    )
    if drill is not None:
        drill.begin(journal)
    workers = workers_for(generator.demand(inputs))
    traffic = Traffic(folder / "logs" / "traffic.log", clock, workers)
    collector = Child("collector", "gameday.telemetry.collector", folder / "logs" / "collector.log")
    reaper = Reaper(folder, clock, lambda why: None if abort.over else abort("interrupted", why))
    control = ControlSocket(run, journal, abort, drill)
    return _Start(
        id=run,
        dir=folder,
        clock=clock,
        journal=journal,
        traffic=traffic,
        collector=collector,
        reaper=reaper,
        abort=abort,
        drill=drill,
        key=key,
        control=control,
        began=began,
    )


async def _clear_away(stack: Stack, start: "_Start") -> None:
    """Children and stack stopped, and the journal's last line."""
    start.abort.over = True
    try:
        for child in (start.traffic.child, start.collector):
            await child.finish(teardown.CHILD_S, start.clock)
        if start.control.run is not None:
            await start.control.run.incident.finish()
    finally:
        await _stop_stack(stack, start)
        _debrief(start)
        await _in_time(start, "logs", asyncio.to_thread(_hide_in_logs, start))
        await _in_time(start, "logs", asyncio.to_thread(_search_logs, start))
        await _in_time(start, "inputs", asyncio.to_thread(_unpack, start))
        sums = await _in_time(start, "seal", asyncio.to_thread(seal.sums, start.dir)) or {}
        start.journal.write(
            events.RunEnded(ended=start.abort.ended, why=start.abort.why, evidence=sums)
        )
        start.journal.close()
        untold = start.drill is not None and bool(start.journal.problem)
        await start.reaper.finish(untold=untold)


def _debrief(start: "Begun") -> None:
    """Tell the key of a drill, once: from here on everybody may read what has happened."""
    if (box := start.journal.box) is not None:
        start.journal.box = None
        start.journal.write(events.DrillDebriefed(key=box.text))


def _unpack(start: "Begun") -> None:
    """Put the inputs of a drill to where those of any run are."""
    if start.drill is not None:
        try:
            sealed_inputs.unpack(start.dir, start.drill.box)
        except (OSError, ValueError) as error:
            start.journal.write(events.Phase(phase="inputs", problem=str(error)))


async def _stop_stack(stack: Stack, start: "_Start") -> None:
    """Take it down, and journal what is still there."""
    left = await _in_time(start, "stack", stack.stop())
    if left is None:
        left = ["its stopping did not end"]
    if left:
        problem = f"still there: {'; '.join(left)}"
        start.journal.write(events.Phase(phase="stack", problem=problem, left=left))


async def _in_time(start: "_Start", phase: str, work: Awaitable[T]) -> T | None:
    """The result of `work`; None, and a line in the journal, when it takes too long."""
    try:
        return await in_time(work, AFTERWARDS_S)
    except TimeoutError:
        problem = f"not reached within {AFTERWARDS_S:g} s"
        start.journal.write(events.Phase(phase=phase, problem=problem))
        return None


@dataclass(slots=True, kw_only=True)
class _Start(Begun):
    """The same with what only the beginning and the end of a run work with."""

    key: SigningKey
    control: ControlSocket
    began: log_search.Began


async def _on_stack(inputs: Inputs, stack: Stack, options: Options, start: _Start) -> None:
    # What a stack says that does not start is masked, too, by what is known before.
    _conceal(start, (), inputs)
    running = await _start_stack(inputs, stack, options, start)
    if running is None:
        return
    # Of the shell's from now on only what the system has: the rest is none of its business,
    # unless a program responds, which has all of it and may say any of it.
    start.secrets |= {*running.secrets, *secrets_of(running.system, running.environment)}
    if options.responder.kind == "command":
        start.secrets |= {*telling(os.environ)}
    start.journal.hide = _hiding(start.secrets, inputs)
    refuse_foreign(running.system, options.allowed, running.environment)
    run = _make_run(inputs, running, options, start, stack)
    start.control.run = run
    system = running.system
    place = (system.base_url, system.toxiproxy, start.id, options.runs_dir)
    with locks.TargetLock(*place, options.allowed.hosts) as lock:
        reach = options.allowed.reach()
        await start.reaper.hand_over(lock.fileno(), running.environment, reach)
        async with marking(run):
            await _through(run, inputs)


async def _start_stack(
    inputs: Inputs, stack: Stack, options: Options, start: _Start
) -> Running | None:
    """The started stack; None when the run was aborted meanwhile."""
    start.journal.write(events.Phase(phase="stack"))
    begun_ns = start.clock.now_ns()
    workdir = StackWorkdir(
        path=new_work_dir(),
        logs_dir=start.dir / "logs",
        clock=start.clock,
        announce=lambda name, undo: _announce(start.journal, name, undo),
        system_dir=inputs.system.path.parent,
        progress=lambda well, waiting: _progress(start.journal, well, waiting),
        conceal=lambda secrets: _conceal(start, secrets, inputs),
    )
    work = stack.start(inputs.system.system, workdir)
    within_s = STACKS[options.stack].start_s
    limits = {"within_s": within_s, "cancel_s": STACK_CANCEL_S}
    starting = await unless_aborted(start.abort, work, **limits)
    if starting is None:
        if start.abort.event.is_set():
            return None
        raise StackError(f"the stack was not up within {within_s:g} s")
    running = starting.result()
    took_s = round((start.clock.now_ns() - begun_ns) / NS, 3)
    addresses = {
        "base_url": running.system.base_url,
        "toxiproxy": running.system.toxiproxy,
        "metrics": running.system.metrics,
    }
    start.journal.write(
        events.StackReady(took_s=took_s, addresses=addresses, binaries=dict(running.binaries))
    )
    return running


def _conceal(start: _Start, secrets: Collection[str], inputs: Inputs) -> None:
    """What a stack knows to be secret before it starts, beside what is known without it."""
    start.secrets.update(secrets)
    before = secrets_of(inputs.system.system, os.environ)
    start.journal.hide = _hiding([*before, *start.secrets], inputs)


def _hiding(secrets: Collection[str], inputs: Inputs) -> Hide:
    return hiding(Hidden(secrets), inputs.system.system.users, inputs.system.users)


def _progress(journal: Journal, well: Sequence[str], waiting: Sequence[str]) -> None:
    journal.write(events.StackWaiting(well=well, waiting=waiting))


def _announce(journal: Journal, name: str, undo: Sequence[Undo]) -> None:
    journal.write_through(events.StackStarting(name=name, undo=undo))


def _make_run(
    inputs: Inputs,
    running: Running,
    options: Options,
    start: _Start,
    stack: Stack,
) -> Run:
    system, experiment = running.system, inputs.experiment.experiment
    coupon = coupon_of(experiment, system, start.id)
    book = None if inputs.playbook is None else inputs.playbook.playbook
    stock = experiment.campaign.stock
    values: dict[str, int | str] = {"coupon": coupon, "run": start.id}
    if stock is not None:
        values["stock"] = stock
    readings = Readings(start.clock)
    admin, sender = (
        Sender(url, values, running.environment, tls=system.tls, hide=start.journal.hide)
        for url in (system.admin_url or system.base_url, system.base_url)
    )
    hands = Hands(
        book,
        system.actions,
        {name: scaled(running.replicas, name, n) for name, n in system.scale.items()},
        system.admin_url or system.base_url,
        admin,
        readings,
        start.journal,
        start.clock,
        running.project,
        Replicas.of(system, running.replicas),
        () if start.drill is None else start.drill.playbooks,
    )
    incident = Incident(hands, lambda why: start.control.end("operator", why))
    if start.drill is not None:
        incident.hints = start.drill.hint
        incident.hypotheses = start.drill.hypotheses
    scaler = None
    if experiment.autoscaling and system.autoscaler is not None and running.replicas is not None:
        scaler = ReplicaScaler(
            system.autoscaler, running.replicas, readings, start.journal, start.clock
        )
    scales_kept = running.replicas is not None and isinstance(stack, PersistentStack)
    run = Run(
        **{each.name: getattr(start, each.name) for each in fields(Begun)},
        options=options,
        experiment=experiment,
        system=system,
        users=inputs.system.users,
        playbook=book,
        rules=list(inputs.rules),
        coupon=coupon,
        stock=stock,
        traffic_end_s=traffic_end_s(experiment),
        scales_kept=scales_kept,
        environment=running.environment,
        injection=running.injection(
            start.id, experiment.seed or 0, command_files(inputs, start.dir)
        ),
        sender=sender,
        admin=admin,
        readings=readings,
        incident=incident,
        ended_parts=stack.ended,
        replicas=stack.replicas,
        bridge=_bridge(running),
        autoscaler=scaler,
    )
    incident.responder = _responder(run)
    return run


def _responder(run: Run) -> Responder | None:
    """Whoever works on the incident by itself; None where only people do, or nobody."""
    asked = run.options.responder
    match asked.kind:
        case "bot" if run.playbook is not None:
            names = {book.head.name: book for book in run.incident.hands.books}
            book = names.get(run.playbook.head.name, run.playbook)
            return Bot(run.incident, book, run.options.responder_delay_s)
        case "command":
            log = run.dir / "logs" / "responder.log"
            return Command(run.incident, Program(asked.argv, log, run.seconds))
        case "replay":
            return Replay(run.incident, asked.recorded, run.until)
        case _:
            return None


def _bridge(running: Running) -> Server | None:
    """Where the stack's own Alertmanager notifies, if it has one."""
    url = running.addresses.bridge
    return None if url is None else Server(url=url, bearer=FromEnv(env="BRIDGE_TOKEN"))


async def _through(run: Run, inputs: Inputs) -> None:
    """Preflight, traffic and faults, ending."""
    try:
        if run.abort.event.is_set():
            return
        await unless_aborted(
            run.abort, preflight.prepare_in_time(run, inputs), grace_s=PREFLIGHT_GRACE_S
        )
        write_effective(
            run.dir,
            inputs,
            run.system,
            run.options,
            stock=run.stock,
            coupon=run.coupon,
            drill=run.drill,
        )
        if not run.abort.event.is_set():
            await unless_aborted(run.abort, start_children(run))
        if not run.abort.event.is_set():
            await execute.work(run)
    except BaseException as caught:
        _give_up(run.abort, caught)  # before the ending, which hurries then
        raise
    finally:
        run.injection.use_traffic(run.traffic)
        _debrief(run)  # the faults are out
        await teardown.end(run)
