"""A stack that is up: whether the system itself answers, is measured, and has a fresh campaign.

What cannot be known before the traffic is only a warning: a series appears when somebody has
asked for the first time, and a condition may be without data until then.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gameday.core.clock import Clock, wall_time_ns
from gameday.core.errors import GamedayError, UsageError
from gameday.core.messages import Message
from gameday.core.network.http import OK, HttpClient, HttpError
from gameday.core.network.urls import at
from gameday.injection.drivers.request import Sender
from gameday.plan import store_checks
from gameday.plan.audit_answer import AuditAnswer, ask
from gameday.plan.audit_pages import first_page, first_values
from gameday.plan.finding import Finding
from gameday.plan.rules.expressions import TRAFFIC_METRICS
from gameday.plan.stores import StoreReadError
from gameday.spec.audit import AuditRequest, AuditStore
from gameday.spec.audit_sources import audit_source, is_own_form
from gameday.spec.experiment import Experiment
from gameday.spec.playbook import Playbook
from gameday.spec.request import Statuses
from gameday.spec.system import System
from gameday.spec.tls import Tls
from gameday.telemetry.alerts.rules import load_rules, metrics_behind
from gameday.telemetry.catalogue import Expression
from gameday.telemetry.collector.evaluation import SeriesEvaluator
from gameday.telemetry.collector.scrape import Scraper
from gameday.telemetry.collector.settings import ScrapeTarget
from gameday.telemetry.collector.text_format import LONGEST
from gameday.telemetry.promql import parse
from gameday.telemetry.samples import AlertLine

ANSWER_S = 5.0  # a page of metrics or a health check that takes longer is not fit for a run
SCRAPE_S = 0.8  # as the collector's own: a scrape must be over before the next second's
LOOKS = 3  # rate() needs two samples, and one may be lost
LOOK_EVERY_S = 1.0  # the collector's period
_SHOWN = 3  # so many names make a line
_Wanted = Mapping[Expression, frozenset[str]]  # the metrics behind each expression
_ANY = Statuses(status=list(range(100, 600)))
_GATEWAY = (502, 504)  # of a gateway, about what is behind it; a 503 may be the service's own
_UNAVAILABLE = 503
_AUDIT_CURE = "is `audit` of the system file right? without it nothing can be judged"


def own_alerts(experiment: Experiment, book: Playbook | None) -> frozenset[str]:
    """The alerts of the drill: those that are expected, and those that its playbook answers."""
    expected = {each.alert for each in experiment.expect.alerts}
    return frozenset(expected | set(book.head.alerts if book is not None else ()))


async def service(system: System) -> list[Finding]:
    """The address of `start.ready` must answer 200.

    Without `start` the audit is asked, where it is the service that answers it. Where it is not,
    any answer will do, but one that says that there is no service.
    """
    apart = system.issues and not _audit_asks_the_service(system)
    if system.start is None and system.issues and not apart:
        return []
    url = at(system.base_url, system.ready_path)
    try:
        async with _client([url], system.tls) as client:
            status = (await client.get(url)).status
    except HttpError as error:
        text = f"{url} does not answer ({error.message})"
        return [Finding("service", "fail", text, "is it running, and is `base_url` right?")]
    if status in _GATEWAY or (apart and status == _UNAVAILABLE):
        return [_nobody_behind("service", status, url)]
    if system.start is not None and status != OK:
        return [Finding("service", "fail", f"{url} answers {status}", "look at its log")]
    return [Finding("service", "ok", Message("finding.answers_status", what=url, status=status))]


def _audit_asks_the_service(system: System) -> bool:
    return isinstance(system.audit, AuditRequest) and system.audit.url is None


async def audit(
    system: System, sender: Sender, *, exists: bool, stock: int | None = None
) -> list[Finding]:
    """The audit must answer in its form, tell of nobody, and of the `stock` of the campaign.

    Before the campaign `exists`, any status of an answer will do; one that is as expected is read.
    """
    assert system.audit is not None, "asked of a system that issues nothing"
    try:
        if not exists and isinstance(system.audit, AuditRequest):
            request = first_page(system.audit).model_copy(update={"expect": _ANY})
            there = sender.at(system.audit.url) if system.audit.url else sender
            answer = await there.with_values(first_values(system.audit)).send(request)
            if answer.status in _GATEWAY:
                url = at(system.audit.url or system.base_url, request.path)
                return [_nobody_behind("audit", answer.status, url)]
            if not system.audit.is_mapped or not system.audit.expects(answer.status):
                path = system.audit.path
                text = Message("finding.no_campaign_yet", path=path, status=answer.status)
                return [Finding("audit", "ok", text)]
        if not exists and isinstance(system.audit, AuditStore):
            seen = await store_checks.before_campaign(system, system.audit.store, sender)
            if isinstance(seen, Finding):
                return [seen]
            rows, odd = seen, list[Finding]()
        else:
            found = await ask(system, sender)
            rows, odd = len(found.rows), _odd_counts(system, found, stock)
    except GamedayError as error:
        # Nobody knows what a system says of a campaign that is not there yet.
        known = isinstance(error, StoreReadError | UsageError) and system.captures is None
        return [_unreadable(error, sender, sure=exists or known)]
    if rows:
        return [_of_others(rows, str(sender.values.get("coupon")))]
    return odd or [Finding("audit", "ok", Message("finding.answers", what=_place_of_audit(system)))]


def _odd_counts(system: System, found: AuditAnswer, stock: int | None) -> list[Finding]:
    view = found.views.get(audit_source(system), {})
    own = is_own_form(system)
    remaining = None if own else view.get("remaining")
    return store_checks.odd_counts(stock, found.stock, remaining, is_own_form=own)


def _nobody_behind(name: str, status: int, url: str) -> Finding:
    """A gateway answers; the service behind it does not."""
    text = f"{status} from {url}: something answers there, and what it asks does not"
    return Finding(name, "fail", text, "is the service itself running?")


def _of_others(count: int, coupon: str) -> Finding:
    """A failure: rows that nobody of this run has asked for would be judged as its own."""
    text = f"it tells of {count} issues of campaign {coupon}, which nobody has asked for yet"
    cure = "does it look at {coupon}? else it tells of other campaigns, too"
    return Finding("audit", "fail", text, cure, usage=True)


def _place_of_audit(system: System) -> str:
    """Place of the audit, in a word."""
    match system.audit:
        case AuditRequest() as request:
            return request.path
        case AuditStore(store=store):
            return f"stores.{store}"
        case _:
            return "audit.command"


def _unreadable(error: GamedayError, sender: Sender, *, sure: bool = True) -> Finding:
    """A failure; a warning where it may be well once there is a campaign."""
    cause = error.__cause__
    silent = isinstance(cause, HttpError) and cause.kind in ("refused", "unreachable")
    cure = "is it running, and is `base_url` right?" if silent else error.help or _AUDIT_CURE
    sure = sure or isinstance(cause, HttpError)
    when = "before the traffic" if sure else "before there is a campaign"
    text = f"cannot be read {when}: {sender.hide(str(error))}"
    return Finding("audit", "fail" if sure else "warn", text, cure)


def _client(urls: Sequence[str], tls: Tls) -> HttpClient:
    return HttpClient(ANSWER_S, verify=tls.needed_for(*urls), most_bytes=LONGEST)


async def campaign(
    system: System, sender: Sender, coupon: str, stock: int | None, *, is_reset: bool = False
) -> "CampaignFound":
    """Of a system that creates none: unused, and with the stock that the experiment says.

    `is_reset`: what is done before a run is still to come, and will make it so.
    """
    try:
        answer = await ask(system, sender)
    except GamedayError as error:
        return CampaignFound(stock, [_unreadable(error, sender)])
    rows, there = answer.rows, answer.stock
    if is_reset:
        told = Message("finding.to_be_reset", coupon=coupon, rows=len(rows))
        return CampaignFound(there, [Finding("campaign", "ok", told)])
    if rows:
        text = f"campaign {coupon} is used: it has {len(rows)} issues already"
        cure = "name a fresh campaign, or give the system file a `campaign` or `before_run`"
        return CampaignFound(stock, [Finding("campaign", "fail", text, cure, usage=True)])
    if there is None and stock is None:
        cure = "campaign: {stock: 100} in the experiment, or `stock` where the audit has it"
        text = "neither the experiment nor the audit says how many there are"
        return CampaignFound(stock, [Finding("campaign", "fail", text, cure, usage=True)])
    there = stock if there is None else there
    if stock is not None and stock != there:
        text = f"the experiment says stock {stock}, the system says {there}"
        cure = "leave `campaign.stock` out to take the system's"
        return CampaignFound(stock, [Finding("campaign", "fail", text, cure, usage=True)])
    fresh = Message("finding.fresh", coupon=coupon, stock=there)
    return CampaignFound(there, [Finding("campaign", "ok", fresh)])


@dataclass(frozen=True, slots=True)
class CampaignFound:
    """The stock that counts, and what was found."""

    stock: int | None
    findings: list[Finding]


async def metrics(
    system: System, read: Sequence[Expression], rules: Sequence[Path]
) -> list[Finding]:
    """Every target must answer, and know the name of every series that is read.

    Those that the rules record are as good as what these read.
    """
    files = [load_rules(path) for path in rules]
    wanted = {each: metrics_behind(parse(each.expr).metric_names(), files) for each in read}
    async with _client(system.metrics, system.tls) as client:
        told = await asyncio.gather(*(_names(client, url) for url in system.metrics))
    down = {
        u: names for u, names in zip(system.metrics, told, strict=True) if isinstance(names, str)
    }
    if down:
        return list(_down(down, wanted))
    known = {name for names in told for name in names} | TRAFFIC_METRICS | {"up"}
    found = list(_unknown(wanted, known))
    if not system.metrics:
        return [*found, Finding("metrics", "ok", Message("finding.no_metrics"))]
    count = sum(len(names) for names in told)
    id_ = "finding.target" if len(system.metrics) == 1 else "finding.targets"
    text = Message(id_, n=len(system.metrics), names=count, read=len(read))
    return [*found, Finding("metrics", "ok", text)]


def _down(down: Mapping[str, str], wanted: _Wanted) -> Iterator[Finding]:
    """Targets that do not answer: a failure where something is to be read from them."""
    readers = [each.title for each, names in wanted.items() if names - TRAFFIC_METRICS]
    for url, why in down.items():
        reads = f"; {', '.join(readers[:_SHOWN])} would be unknown" if readers else ""
        cure = "is the address under `metrics` right, and reachable?"
        yield Finding("metrics", "fail" if readers else "warn", f"{url}: {why}{reads}", cure)


async def _names(client: HttpClient, url: str) -> set[str] | str:
    """The names of the series that a target tells or announces; a text: why there are none."""
    try:
        answer = await client.get(url)
    except HttpError as error:
        return f"no answer ({error.message})"
    if answer.status != OK:
        return f"answers {answer.status}"
    return {name for line in answer.text.splitlines() for name in _named(line)}


def _named(line: str) -> Iterator[str]:
    """Names in one line of Prometheus' text format; a histogram announces its parts."""
    words = line.split()
    if line.startswith("# TYPE ") and len(words) >= 4:
        yield words[2]
        if words[3] in ("histogram", "summary"):
            yield from (f"{words[2]}_{part}" for part in ("bucket", "sum", "count"))
    elif words and not line.startswith("#"):
        yield words[0].partition("{")[0]


def _unknown(wanted: _Wanted, known: set[str]) -> Iterator[Finding]:
    """Expressions over series of which nobody has told the name."""
    for each, names in wanted.items():
        missing = sorted(names - known)
        if missing:
            what = f"no target tells of {', '.join(missing[:_SHOWN])}"
            cure = "without data it is unknown in a run; a guard without data ends it"
            yield Finding(each.title, "warn", what, cure)


async def conditions(
    system: System, rules: Sequence[Path], own: frozenset[str], clock: Clock
) -> list[Finding]:
    """Rules looked at for some seconds: none of the drill's `own` alerts holds before it begins."""
    targets = [ScrapeTarget(name=f"service-{n}", url=url) for n, url in enumerate(system.metrics)]
    if not targets or not rules:
        return []
    evaluation = SeriesEvaluator({}, rules, wall_time_ns() - clock.now_ns())
    scraper = Scraper(targets, SCRAPE_S, system.tls)
    alerts: Sequence[AlertLine] = ()
    try:
        for number in range(LOOKS):
            await clock.sleep(LOOK_EVERY_S if number else 0.0)
            answers = await scraper.ask_all()
            t_ns = clock.now_ns()
            for answer in answers:
                evaluation.store.append(t_ns, answer.series.items(), source=answer.target)
            alerts = evaluation.at(t_ns).alerts
    finally:
        await scraper.close()
    return list(_holding(alerts, own))


def _holding(alerts: Sequence[AlertLine], expected: frozenset[str]) -> Iterator[Finding]:
    names = sorted({alert.name for alert in alerts})
    for name in names:
        state = next(alert.state for alert in alerts if alert.name == name)
        own = name in expected
        text = f"{name} is {state} before anything was broken"
        cure = "the run would end as not steady: mend it first" if own else "it becomes baseline"
        yield Finding("alerts", "warn", text, cure)
    if not set(names) & expected:
        seconds = (LOOKS - 1) * LOOK_EVERY_S
        yield Finding("alerts", "ok", Message("finding.alerts_quiet", seconds=seconds))
