"""Between the started stack and the first request: the campaign, and what is behind the proxies.

Nothing is broken yet. What is found wrong here ends the run before any traffic; what is only odd
is journaled, and told on the command line. The looking itself is `gameday.plan`'s.
"""

import asyncio
from collections.abc import Iterable

from gameday.core.errors import GamedayError, StackError, UnknownError, UsageError
from gameday.core.network.http import Answer
from gameday.core.processes.deadlines import in_time
from gameday.core.stack_registry import is_owned
from gameday.evidence.events import Phase
from gameday.plan import prometheus_checks, proxy_checks, service_checks, store_checks
from gameday.plan.campaign_code import code_in
from gameday.plan.finding import Finding, as_error, failures
from gameday.plan.leftovers import on_standing
from gameday.run.before_run import before_run
from gameday.run.context import Run
from gameday.spec.inputs import Inputs
from gameday.telemetry.catalogue import expressions
from gameday.telemetry.sources.choice import prometheus_of

LONGEST_S = 300.0  # each look has its own, shorter limit; this is for what nobody thought of
_SHOWN = 200  # characters of an answer


async def prepare_in_time(run: Run, inputs: Inputs) -> None:
    """All that is looked at and made before the first request, in bounded time."""
    acts_s = sum(each.timeout.total_seconds() for each in run.system.before_run)
    within_s = LONGEST_S + acts_s
    try:
        await in_time(prepare(run, inputs), within_s)
    except TimeoutError as error:
        problem = f"what is looked at before a run was not over within {within_s:g} s"
        raise StackError(problem, help="gameday plan tells what is looked at") from error


async def prepare(run: Run, inputs: Inputs) -> None:
    """Look at what is there, then create the campaign (or take the one there is).

    Raises UsageError, StackError, or on a stack that is not ours UnknownError.
    """
    run.journal.write(Phase(phase="preflight"))
    owned, runs_dir = is_owned(run.options.stack), run.options.runs_dir
    looked, stopped_on_purpose, measured, left, well = await asyncio.gather(
        proxy_checks.network(
            run.experiment,
            run.system,
            run.options.allowed,
            run.clock,
            run.injection.direct.published,
        ),
        proxy_checks.prepared(run.experiment, run.injection),
        _measured(run, inputs),
        on_standing(runs_dir, run.system, run.environment, owned=owned),
        _nothing() if owned else service_checks.service(run.system),
    )
    run.spots.update(looked.spots)
    _tell_spots(run)
    _end_if_unfit(run, [*well, *looked.findings, *stopped_on_purpose, *left, *measured])
    found: list[Finding] = []
    if run.system.before_run:
        await before_run(run.system, run.admin, run.journal.write)
    if run.system.campaign is not None:
        await _create_campaign(run)
        if run.system.issues:
            found = await service_checks.audit(run.system, run.sender, exists=True, stock=run.stock)
    elif run.system.issues:
        campaign = await service_checks.campaign(run.system, run.sender, run.coupon, run.stock)
        run.stock, found = campaign.stock, campaign.findings
    _end_if_unfit(run, found)
    if run.system.issues:
        beside = await store_checks.beside(run.system, run.sender, run.stock, planning=False)
        _end_if_unfit(run, beside)


async def _measured(run: Run, inputs: Inputs) -> list[Finding]:
    """What the run will be measured by: Prometheus, whose pace is kept in mind, or our scrapes."""
    server = prometheus_of(run.experiment, run.system)
    if server is None:
        read = list(expressions(run.experiment, run.system, run.playbook))
        return await service_checks.metrics(run.system, read, inputs.rules)
    found = await prometheus_checks.look(inputs, run.system, server, run.environment, run.clock)
    run.scrape_s = found.scrape_s
    return found.findings


async def _nothing() -> list[Finding]:
    """A stack that we started was seen to be ready a moment ago."""
    return []


def _tell_spots(run: Run) -> None:
    for service, spot in run.spots.items():
        before_ms = None if spot.before_ms is None else round(spot.before_ms, 3)
        run.journal.write(
            Phase(
                phase="preflight",
                service=service,
                protocol=spot.protocol,
                before_ms=before_ms,
            )
        )


def _end_if_unfit(run: Run, findings: Iterable[Finding]) -> None:
    """Journal what is odd, and end the run for the first thing that is wrong."""
    found = list(findings)
    for each in found:
        if each.status == "warn":
            text = f"{each.name}: {each.found}"
            run.journal.write(Phase(phase="preflight", problem=text, cure=each.cure))
    wrong = failures(found)
    if wrong:
        raise as_error(wrong[0], owned=is_owned(run.options.stack))


async def _create_campaign(run: Run) -> None:
    request = run.system.creates
    if request is None or run.stock is None:
        raise UsageError(
            f"experiment {run.experiment.name}: `campaign.stock` is needed to create a campaign"
        )
    try:
        answer = await run.sender.send(request)
        if run.system.captures is not None:
            _take_code(run, run.system.captures, answer)
    except GamedayError as error:
        raise StackError(f"the campaign could not be created: {error.message}") from error
    run.campaign_made = True


def _take_code(run: Run, path: str, answer: Answer) -> None:
    """From here on `{coupon}` is what the system calls its campaign. Raises UnknownError."""
    found = code_in(answer, path)
    if found is None:
        said = run.sender.hide(answer.text)[:_SHOWN]  # hidden before it is cut
        raise UnknownError(f"no code of a campaign at `coupon: {path}` of its answer: {said}")
    run.coupon = str(found)
    run.sender.learn("coupon", found)
    run.journal.write(Phase(phase="preflight", campaign=run.coupon))
