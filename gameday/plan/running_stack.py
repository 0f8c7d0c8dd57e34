"""A stack that stands already, kept or somebody else's: looked at all over, in bounded time.

Finding it is the same call that a run makes; on such a stack it starts nothing.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any

from gameday.core.clock import Clock
from gameday.core.errors import GamedayError
from gameday.core.secrets.redaction import Hidden
from gameday.injection.drivers.proxy import MARKER
from gameday.injection.drivers.request import Sender, secrets_of
from gameday.injection.toxiproxy_client import Toxiproxy, ToxiproxyError
from gameday.plan import prometheus_checks, proxy_checks, service_checks, store_checks
from gameday.plan.audit_pages import PAGES_S
from gameday.plan.finding import Finding, from_error
from gameday.plan.leftovers import on_standing
from gameday.plan.offline_checks import RunConditions
from gameday.plan.stores import STORE_S
from gameday.spec.audit import AuditCommand, AuditRequest, AuditStore, Paging
from gameday.spec.inputs import Inputs
from gameday.spec.server import Server
from gameday.spec.system import System
from gameday.spec.targets import refuse_foreign
from gameday.spec.users_hidden import Hide, hiding
from gameday.stacks.stack import Running, Stack, StackWorkdir, new_work_dir
from gameday.telemetry import catalogue
from gameday.telemetry.sources.choice import prometheus_of

PATIENCE_S = 7.0  # longer than each look's own limit (5 s), so that its own words are told
SLACK_S = 2.0  # beyond a command's own time, in which it is ended
PLAN = "plan"


@dataclass(frozen=True, slots=True)
class Standing:
    """Findings, and the system with its real addresses (as written where it is not up)."""

    system: System
    findings: list[Finding]


async def standing(inputs: Inputs, stack: Stack, question: RunConditions, clock: Clock) -> Standing:
    """Everything that can be asked of a stack that is up, without altering anything."""
    written = inputs.system.system
    nowhere = new_work_dir()  # such a stack makes nothing, so it is never there
    workdir = StackWorkdir(nowhere, nowhere, clock, lambda _, __: None, inputs.system.path.parent)
    try:
        running = await stack.start(written, workdir)
        refuse_foreign(running.system, question.allowed, running.environment)
    except GamedayError as error:
        return Standing(written, [from_error("stack", error)])
    system = running.system
    experiment = inputs.experiment.experiment
    looks = {
        "service": service_checks.service(system),
        "proxies": _network(inputs, running, question, clock),
        "faults": proxy_checks.prepared(
            experiment, running.injection(PLAN, files=[inputs.system.path])
        ),
        **_measured(inputs, running, clock),
        "audit": _campaign(inputs, running),
        "earlier runs": on_standing(
            question.runs_dir, system, running.environment, owned=question.entry.owned
        ),
        "marker": _marked(system),
    }
    within_s = {"audit": max(PATIENCE_S, _audit_s(system))}
    found = await asyncio.gather(
        *(_in_time(name, look, within_s.get(name, PATIENCE_S)) for name, look in looks.items())
    )
    hide = _hiding(inputs, running)
    return Standing(system, [_hidden(finding, hide) for each in found for finding in each])


def _hiding(inputs: Inputs, running: Running) -> Hide:
    """What takes secrets, and what a file of users holds, out of a text."""
    known = Hidden([*running.secrets, *secrets_of(running.system, running.environment)])
    return hiding(known, inputs.system.system.users, inputs.system.users)


def _hidden(finding: Finding, hide: Hide) -> Finding:
    """A finding that may quote somebody's answer; what is well quotes none."""
    if finding.status == "ok":
        return finding
    what, remedy = (
        hide(each) if isinstance(each, str) else each.masked(hide)
        for each in (finding.what, finding.remedy)
    )
    return replace(finding, what=what, remedy=remedy)


def _measured(
    inputs: Inputs, running: Running, clock: Clock
) -> dict[str, Coroutine[Any, Any, list[Finding]]]:
    """Looks at what the run will be measured by: Prometheus, or our own scrapes."""
    system, experiment = running.system, inputs.experiment.experiment
    book = None if inputs.playbook is None else inputs.playbook.playbook
    server = prometheus_of(experiment, system)
    if server is not None:
        return {"prometheus": _prometheus(inputs, running, server, clock)}
    read = list(catalogue.expressions(experiment, system, book))
    alerts = service_checks.own_alerts(experiment, book)
    return {
        "metrics": service_checks.metrics(system, read, inputs.rules),
        "alerts": service_checks.conditions(system, inputs.rules, alerts, clock),
    }


async def _prometheus(
    inputs: Inputs, running: Running, server: Server, clock: Clock
) -> list[Finding]:
    looked = prometheus_checks.look(inputs, running.system, server, running.environment, clock)
    return (await looked).findings


def _audit_s(system: System) -> float:
    """Time for an audit that takes longer than an answer: a command, pages, a store."""
    match system.audit:
        case AuditStore():
            return STORE_S
        case AuditCommand(timeout=timeout):
            return timeout.total_seconds() + SLACK_S
        case AuditRequest(paging=Paging()):
            return PAGES_S
        case _:
            return 0.0


async def _in_time(
    name: str, look: Coroutine[Any, Any, list[Finding]], within_s: float
) -> list[Finding]:
    """A look that is not over in time is a failure itself; the others go on."""
    try:
        async with asyncio.timeout(within_s):
            return await look
    except TimeoutError:
        text = f"no answer within {within_s:g} s"
        return [Finding(name, "fail", text, "is it overloaded, or has it stopped?")]


async def _network(
    inputs: Inputs, running: Running, question: RunConditions, clock: Clock
) -> list[Finding]:
    looked = await proxy_checks.network(
        inputs.experiment.experiment, running.system, question.allowed, clock, running.published
    )
    return looked.findings


async def _marked(system: System) -> list[Finding]:
    """A warning if a run, perhaps on another host, has marked this Toxiproxy as its own."""
    if system.toxiproxy is None:
        return []
    try:
        found = await Toxiproxy(system.toxiproxy, proxy_checks.ASK_S).proxy(MARKER)
    except ToxiproxyError:
        return []  # told with the proxies
    if found is None:
        return []
    text = f"marked by a run: {found.upstream}"
    cure = "wait for its end; a mark that nobody renews is taken over by the next run"
    return [Finding(f"toxiproxy {system.toxiproxy}", "warn", text, cure)]


async def _campaign(inputs: Inputs, running: Running) -> list[Finding]:
    """The campaign there is; where a run would create its own, whether the audit can be asked."""
    wanted, system = inputs.experiment.experiment.campaign, running.system
    if not system.issues:
        return []
    made = system.campaign is not None
    coupon = f"{wanted.coupon}-{PLAN}" if made else wanted.coupon
    values: dict[str, int | str] = {"coupon": coupon, "run": PLAN}
    if wanted.stock is not None:
        values["stock"] = wanted.stock
    hide = _hiding(inputs, running)
    sender = Sender(system.base_url, values, running.environment, tls=system.tls, hide=hide)
    if made:
        first = await service_checks.audit(system, sender, exists=False)
        return first + await store_checks.beside(
            system, sender, wanted.stock, planning=True, exists=False
        )
    is_reset = bool(system.before_run)
    found = await service_checks.campaign(system, sender, coupon, wanted.stock, is_reset=is_reset)
    return found.findings + await store_checks.beside(
        system, sender, found.stock, planning=True, is_reset=is_reset
    )
