"""All that can be known before a stack is up: files, traffic, this machine, earlier runs.

Nothing is sent anywhere and nothing is made. `gameday run` looks at the same before it starts
anything, but for what needs half a second of watching.
"""

import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from gameday.core.clock import NS, wall_time_ns
from gameday.core.errors import GamedayError, StackError
from gameday.core.messages import Message
from gameday.core.network.allow_list import Allowed
from gameday.core.network.listen import Listen
from gameday.core.stack_registry import STACKS, StackEntry
from gameday.plan import (
    acts,
    commands,
    generator,
    log_checks,
    machine,
    own_project_checks,
    traffic_size,
    who_asks,
)
from gameday.plan.alert_lint import slow_rules
from gameday.plan.finding import Finding, from_error
from gameday.plan.validate import validate
from gameday.spec.faults.service import PARTS, ServiceFault
from gameday.spec.inputs import Inputs, LoadedSystem
from gameday.spec.start import SqlFile, Start
from gameday.spec.system import System
from gameday.spec.targets import refuse_foreign
from gameday.spec.undos import ProjectUndo
from gameday.stacks.own_project import OwnProject
from gameday.stacks.placeholders import asked_for
from gameday.stacks.state import Kept, read_kept
from gameday.telemetry.alerts.rules import load_rules
from gameday.telemetry.sources.choice import prometheus_of

AHEAD_S = 60.0  # file servers' clocks differ by seconds
SLOWLY = "a longer fault, a shorter window or a shorter `for`; most do not take so long"
SCALES = "run it with --stack compose"


@dataclass(frozen=True, slots=True)
class RunConditions:
    """The conditions of a run: its stack, the folder of its evidence, and what else was asked for.

    `reuse` says that the stack is one that `gameday up` left running; `kept_per_s` what the
    generator was measured to keep; `force` that it may be too little; `webhook` where notifications
    are to be received; `project` is a compose project of somebody else's.
    """

    stack: str
    runs_dir: Path
    allowed: Allowed = field(default_factory=Allowed)
    reuse: bool = False
    kept_per_s: float | None = None
    force: bool = False
    webhook: Listen | None = None
    project: OwnProject | None = None

    @property
    def entry(self) -> StackEntry:
        """What the stack is."""
        return STACKS[self.stack]

    @property
    def starts(self) -> bool:
        """True if the stack is put up for this run alone, and so starts from nothing."""
        return self.entry.starts_components and not self.reuse


def before(inputs: Inputs, question: RunConditions) -> list[Finding]:
    """Everything at once. Raises FileError for the first thing that is wrong with a file."""
    return [
        *_files(inputs),
        *commands.findings(inputs.system),
        *acts.findings(inputs.system.system),
        *who_asks.findings(inputs.system),
        *_possible(inputs, question),
        *_struck(inputs, question),
        *_scales(inputs, question),
        *traffic_size.checks(inputs, question.runs_dir),
        *generator.checks(
            inputs,
            question.kept_per_s,
            force=question.force,
            shared=question.entry.shares_machine,
        ),
        *_machine(inputs, question),
        *_clock(inputs),
        *_addresses(inputs.system, question),
        *_routing(inputs, question),
        *log_checks.checks(inputs, question.stack, reuse=question.reuse),
    ]


def _files(inputs: Inputs) -> Iterator[Finding]:
    """Findings of the validation, and a line about the files themselves."""
    warnings = validate(inputs)
    files = [load_rules(path) for path in inputs.rules]
    for each in warnings:
        cure = each.cure or "gameday validate shows it too"
        yield Finding(str(each.place), "warn", each.message or each.text, cure)
    alerts = [rule.alert for file in files for rule in file.alerts]
    book = inputs.playbook
    of_book = "" if book is None else Message("finding.of_book", name=book.playbook.head.name)
    of_rules = Message("finding.of_rules", n=len(alerts)) if files else ""
    yield Finding("files", "ok", Message("finding.files", book=of_book, rules=of_rules))
    for each in slow_rules(inputs):
        yield Finding(str(each.place), "warn", each.text, SLOWLY)


def _possible(inputs: Inputs, question: RunConditions) -> Iterator[Finding]:
    """Every change of every fault is of a kind that the stack can make."""
    document = inputs.experiment.document
    for index, fault in enumerate(inputs.experiment.experiment.method):
        where = str(document.place("method", index, "fault"))
        for kind, change in {change.kind: change for change in fault.changes()}.items():
            if kind not in question.entry.kinds:
                found = f"'fault': the {question.stack} stack cannot do {fault.fault!r}"
                cure = f"it can make changes of kind {', '.join(sorted(question.entry.kinds))}"
                yield Finding(where, "fail", found, cure, usage=True)
            elif not _has(inputs.system.system, question, change.needs):
                needs = f"{fault.fault!r} needs `{change.needs}`"
                found = f"'fault': {needs}, and the system names none"
                yield Finding(where, "fail", found, "add it to the system file", usage=True)


def _struck(inputs: Inputs, question: RunConditions) -> Iterator[Finding]:
    """What is to be struck is a part of the stack; others' projects are looked at themselves."""
    if question.project is not None or not question.entry.starts_components:
        return
    if (copy := _kept_copy(question)) is not None:
        yield from own_project_checks.targets(copy.binaries, inputs.experiment)
        return
    for index, fault in enumerate(inputs.experiment.experiment.method):
        if isinstance(fault, ServiceFault) and fault.target not in PARTS:
            where = str(inputs.experiment.document.place("method", index, "target"))
            found = f"'target': the {question.stack} stack has no {fault.target!r}"
            cure = f"it has {', '.join(PARTS)}; a container of your own needs --compose-file"
            yield Finding(where, "fail", found, cure, usage=True)


def _scales(inputs: Inputs, question: RunConditions) -> Iterator[Finding]:
    """Where gameday is the autoscaler the stack can scale; a system of its own has its own."""
    is_theirs = question.project is not None or _kept_copy(question) is not None
    able = question.entry.in_containers and not is_theirs
    if inputs.experiment.experiment.autoscaling and question.entry.owned and not able:
        where = str(inputs.experiment.document.place("autoscaling"))
        found = f"'autoscaling': the {question.stack} stack has one replica of the service"
        cure = "leave it out: nothing scales a copy of your own project"
        yield Finding(where, "fail", found, cure if is_theirs else SCALES, usage=True)


def _kept_copy(question: RunConditions) -> Kept | None:
    """The kept stack that is to be used, if it is a copy of a compose project of one's own."""
    if not (question.reuse and question.entry.in_containers):
        return None
    with suppress(StackError):  # a file that makes no sense is told where the stack is looked at
        kept = read_kept()
        if kept is not None and kept.undos(ProjectUndo) and kept.replicas is None:
            return kept
    return None


def _has(system: System, question: RunConditions, key: str) -> bool:
    """True if the system file has that key, or a stack of our own brings what it would name."""
    brought = question.entry.owned and key == "toxiproxy"
    return not key or brought or attrgetter(key)(system) is not None


def _machine(inputs: Inputs, question: RunConditions) -> Iterator[Finding]:
    """Checks of this machine: those for every run, then those for a stack of our own."""
    yield from machine.for_any_run()
    if not question.starts:
        return
    if question.project is not None:
        yield from machine.for_containers()
        yield from own_project_checks.checks(question.project, inputs.system, inputs.experiment)
        return
    system = inputs.system.system
    if system.start is None:
        cure = "tell how it starts, or run it yourself and use --stack external"
        found = f"{system.name!r} has no `start`: the {question.stack} stack cannot start it"
        yield Finding("system file", "fail", found, cure, usage=True)
        return
    try:
        asked = asked_for(system.start)
    except GamedayError as error:
        yield from_error("system file", error)
        return
    if not question.entry.in_containers:
        yield from _setup(system.start)
    yield from machine.for_own_stack(system, asked, in_containers=question.entry.in_containers)


def _setup(start: Start) -> Iterator[Finding]:
    """Each step before the service: a command of a file is seen before it is run."""
    for n, step in enumerate(start.setup, 1):
        if isinstance(step, SqlFile):
            text = Message("finding.setup_sql", n=n, file=step.sql)
        else:
            text = Message("finding.setup_command", n=n, command=shlex.join(step))
        yield Finding("setup", "ok", text)


def _clock(inputs: Inputs) -> Iterator[Finding]:
    """The monotonic clock; and the wall clock is not behind the files that are to be run."""
    yield from machine.clock()
    paths = (inputs.experiment.path, inputs.system.path)
    newest = max(paths, key=lambda path: path.stat().st_mtime_ns)
    ahead_s = (newest.stat().st_mtime_ns - wall_time_ns()) / NS
    if ahead_s > AHEAD_S:
        found = f"{newest} was written {ahead_s:.0f} s from now: the wall clock is wrong"
        yield Finding("wall clock", "warn", found, "set the clock: records will carry its time")


def _addresses(loaded: LoadedSystem, question: RunConditions) -> Iterator[Finding]:
    """Nothing that is not this machine is touched unless it is allowed by name."""
    if question.entry.owned:
        return
    try:
        refuse_foreign(loaded.system, question.allowed, os.environ, loaded.document)
    except GamedayError as error:
        yield from_error("addresses", error)
        return
    yield Finding("addresses", "ok", Message("finding.addresses"))


def _routing(inputs: Inputs, question: RunConditions) -> Iterator[Finding]:
    """Notifications have somewhere to arrive, where they are sent at all."""
    system, listen = inputs.system.system, question.webhook
    if listen is not None and (why := listen.problem()):
        found = f"{listen.host}:{listen.port} cannot be listened at: {why}"
        yield Finding("--webhook-listen", "fail", found, "name a free port", usage=True)
    routed = system.alertmanager is not None and prometheus_of(inputs.experiment.experiment, system)
    if routed and not question.entry.owned and listen is None:
        found = "whether an alert reaches anybody will be unknown"
        yield Finding("routing", "warn", found, "receive notifications: --webhook-listen ADDR:PORT")
