"""`gameday plan`: what a run would touch, and whether it can begin; nothing is acted on."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

import click
from click.core import ParameterSource
from rich.table import Table

from gameday.cli.commands import ask_about_commands
from gameday.cli.completion import complete_day
from gameday.cli.drawing import joined, styled
from gameday.cli.drawing import table as new_table
from gameday.cli.options import WhereOptions, on_stack, where
from gameday.cli.picture import Page, guards, traffic
from gameday.cli.terminal import emit
from gameday.cli.words import duration, in_words, say, sentence
from gameday.core.clock import SystemClock
from gameday.core.locks import is_locked
from gameday.core.messages import Message
from gameday.core.network import event_loop
from gameday.core.stack_registry import STACKS, new_stack
from gameday.plan import generator, machine
from gameday.plan.blast_radius import BY_PERSON, Blast, Touch, blast
from gameday.plan.finding import Finding, Status, as_error, failures, from_error
from gameday.plan.offline_checks import RunConditions, before
from gameday.plan.running_stack import standing
from gameday.run import hold, locks, webhook
from gameday.run.reaper.lease import LEASE_S
from gameday.spec.inputs import Inputs, load_inputs
from gameday.spec.system import System
from gameday.stacks.placeholders import asked_for
from gameday.telemetry.failures import filled_inputs
from gameday.traffic.capacity import calibration

COLOURS: dict[Status, str] = {"ok": "green", "warn": "yellow", "fail": "bold red"}
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is told: the question, its answer in full, the exit code, and a compose override."""

    question: RunConditions
    blast: Blast
    findings: list[Finding]
    evidence: str
    exit_code: int
    paste: str = ""
    override: str = ""

    def as_json(self) -> object:
        touches = [{**asdict(t), "change": t.change.as_json()} for t in self.blast.touches]
        of_act = ("step", "text", "does", "undone_by")
        acts = [{name: getattr(act, name) for name in of_act} for act in self.blast.acts]
        return {
            "stack": self.question.stack,
            "fit": self.exit_code == 0,
            "exit_code": self.exit_code,
            "evidence": self.evidence,
            "lease_s": LEASE_S,
            "plan": {**asdict(self.blast), "touches": touches, "acts": acts},
            "override": self.override,
            "findings": [each.as_json() for each in self.findings],
            **({"alertmanager": self.paste} if self.paste else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions(WhereOptions):
    """The command line of `plan`."""

    as_json: bool


@click.command()
@click.argument("experiment", metavar="EXPERIMENT|DAY", shell_complete=complete_day)
@where
@click.option("--json", "as_json", is_flag=True, help="Print it as data.")
@click.pass_context
def plan(ctx: click.Context, /, experiment: str, **options: Any) -> None:
    """Tell what a run of EXPERIMENT would touch, and whether it can begin. Touches nothing.

    For a game day: its agenda, how long it takes, how much disk, and what keeps a run from
    beginning. Its go / no-go conditions are not asked.

    Exit code 0, 2 for a bad file or usage (a hold and another run too), 4 when the stack cannot
    become healthy, 3 when a stack that is not ours is not fit.
    """
    from gameday.cli.files import kind_of

    asked = PlanOptions(**options)
    if kind_of(experiment) == "day":
        from gameday.cli.plan_day import plan_day
        from gameday.core import settings
        from gameday.spec.day_files import load_day

        loaded = load_day(experiment, language=settings.language())
        by_option = ctx.get_parameter_source("stack") is ParameterSource.COMMANDLINE
        ctx.exit(plan_day(loaded, asked, stack_is_given=by_option))
    inputs = filled_inputs(load_inputs(experiment, asked.system, short=asked.short))
    made = plan_of(inputs, asked)
    if asked.webhook_listen is not None:
        made = replace(made, paste=webhook.block(asked.webhook_listen))
    if asked.as_json:
        emit(json.dumps(made.as_json(), indent=1) + "\n")
    else:
        _show(on_stack(inputs, asked)[0], made)
    ctx.exit(made.exit_code)


def plan_of(inputs: Inputs, asked: PlanOptions) -> Plan:
    """The plan of one run. Raises UsageError, FileError."""
    inputs, project = on_stack(filled_inputs(inputs), asked)
    ask_about_commands(inputs.system)
    stack = new_stack(asked.stack, reuse=asked.reuse, project=project)
    question = RunConditions(
        stack=asked.stack,
        runs_dir=asked.runs_dir,
        allowed=asked.allowed,
        reuse=asked.reuse,
        kept_per_s=calibration.kept_by_all(
            generator.demand(inputs), shared=STACKS[asked.stack].shares_machine
        ),
        webhook=asked.webhook_listen,
        project=project,
    )
    return _plan(inputs, stack, question)


def _plan(inputs: Inputs, stack: Any, question: RunConditions) -> Plan:
    """Look at everything, in the order in which it could go wrong."""
    findings = [*before(inputs, question), *machine.steal()]
    system = inputs.system.system
    if not question.starts:
        if not any(each.usage for each in failures(findings)):
            stands = event_loop.run(
                standing(inputs, stack, question, SystemClock()), question.allowed
            )
            findings += stands.findings
            system = stands.system
        findings += _lock(system)
    findings += _hold()
    wrong = failures(findings)
    code = as_error(wrong[0], owned=question.entry.owned).exit_code if wrong else 0
    address = _address(inputs.system.system, system, starts=question.starts)
    evidence = str(question.runs_dir / f"<time>-{inputs.experiment.experiment.name}-<4 letters>")
    told = blast(inputs, system, address, starts=question.starts)
    project = question.project
    override = project.preview() if project is not None and code == 0 else ""
    return Plan(question, told, findings, evidence, code, override=override)


def _address(written: System, found: System, *, starts: bool) -> str:
    """The address that the traffic goes to; a stack of the run's own may choose its port later."""
    if starts and written.start is not None and "port" in asked_for(written.start):
        return say("plan_free_port")
    return found.base_url


def _hold() -> Iterator[Finding]:
    """A failure if somebody has said that nothing may be broken for now."""
    held = hold.current()
    if held is not None:
        yield Finding("hold", "fail", str(held), hold.CURE, usage=True)


def _lock(system: System) -> Iterator[Finding]:
    """A failure if another run uses this very target now; the lock is only looked at."""
    path = locks.target_file(system.base_url, system.toxiproxy)
    if is_locked(path):
        yield from_error("target", locks.in_use(path))
    else:
        yield Finding("target", "ok", Message("finding.target_free"))


def _show(inputs: Inputs, made: Plan) -> None:
    """For the eye, at 80 columns."""
    page, experiment = Page(), inputs.experiment.experiment
    page.head(experiment)
    page.section(say("plan_blast"), _touched(made.blast))
    at_most = say("plan_at_most", per_s=made.blast.peak_per_s, address=made.blast.address)
    page.section(say("plan_acts"), _acts(made.blast))
    page.section(say("plan_traffic"), [*traffic(inputs), at_most])
    page.timeline(experiment)
    page.section(say("plan_expected"), _expected(made.blast))
    page.section(say("plan_stops"), guards(experiment))
    page.section(say("plan_length"), _length(made))
    if made.override:
        page.section(say("plan_override"), made.override.splitlines())
    page.table(say("plan_findings"), _table(page, made.findings))
    wrong = [each for each in made.findings if each.status == "fail"]
    odd = sum(each.status == "warn" for each in made.findings)
    warnings = say("plan_warning" if odd == 1 else "plan_warnings", n=odd) if odd else ""
    if wrong:
        kind = "plan_problem" if len(wrong) == 1 else "plan_problems"
        told = say(kind, n=len(wrong), warnings=warnings, code=made.exit_code)
        page.last(told, "bold red")
    else:
        page.last(say("plan_ready", warnings=warnings), "bold green")
    if made.paste:  # as it is, however long a line: it is to be copied
        emit(f"\nfor alertmanager.yml:\n\n{made.paste}")


def _touched(told: Blast) -> Iterator[str]:
    """Lines about each change: what is altered, how long, and what takes it back."""
    groups: dict[str, list[Touch]] = {}
    for each in told.touches:
        groups.setdefault(each.fault, []).append(each)
    for fault, touches in groups.items():
        first = touches[0]
        when = {"from_s": first.at_s, "to_s": first.until_s, "length_s": first.until_s - first.at_s}
        yield sentence("plan.fault", fault=fault, kind=first.kind, **when)
        for each in touches:
            yield f"\t{in_words(each.change.message())}"
            yield f"\t{sentence('plan.undone_by', undo=each.change.undone_by())}"
    yield sentence("plan.reaper", lease_s=LEASE_S) if groups else sentence("plan.nothing_broken")


def _acts(told: Blast) -> Iterator[str]:
    for each in told.acts:
        if each.does == BY_PERSON:
            yield f"{each.step}. {sentence('plan.by_person')}"
            continue
        values = {"step": each.step, "does": _act(each.does_it), "undo": _act(each.undone_by_it)}
        yield sentence("plan.act" if each.undone_by else "plan.act_for_good", **values)


def _act(act: Message | None) -> str:
    return "" if act is None else in_words(act)


def _expected(told: Blast) -> Iterator[str]:
    for each in told.alerts:
        by = {"alert": each.alert, "fires_by_s": each.fires_by_s}
        resolves = each.resolves_by_s
        if resolves is None:
            yield sentence("plan.alert", **by)
        else:
            yield sentence("plan.alert_resolves", **by, resolves_by_s=resolves)
    yield from (f"logs, {each}" for each in told.logs)
    if told.failures_above is not None:
        yield sentence("plan.failures", percent=100 * told.failures_above)
    if told.recovers_by_s is not None and told.recovers_within_s is not None:
        within = duration(timedelta(seconds=told.recovers_within_s))
        yield sentence("plan.recovers", within=within, by_s=told.recovers_by_s)


def _length(made: Plan) -> Iterator[str]:
    told = made.blast
    id_ = "plan.length_starting" if made.question.starts else "plan.length"
    yield sentence(id_, length_s=told.length_s, whole_s=told.whole_s)
    size_mb = max(0.1, told.evidence_bytes / MB)
    yield sentence("plan.evidence", folder=made.evidence, size_mb=size_mb)


def _table(page: Page, findings: list[Finding]) -> Table:
    """Problems last, where the eye is."""
    table = new_table(header=False, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    ranks: list[Status] = ["ok", "warn", "fail"]
    for each in sorted(findings, key=lambda finding: ranks.index(finding.status)):
        cure = f"\n→ {in_words(each.remedy)}" if each.cure and each.status != "ok" else ""
        mark = joined("  ", styled(sentence(f"plan.{each.status}"), COLOURS[each.status]))
        told = page.plain(in_words(each.what) + cure)
        name = in_words(each.title)
        table.add_row(mark, joined(styled(f"{name}:", "bold"), f" {told}"))
    return table
