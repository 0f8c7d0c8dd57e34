"""The traffic worker and the collector of a run: what each is told before it begins.

Every expression that will be read is known here, before the traffic starts, so that nobody asks
and waits later.
"""

import asyncio
from collections.abc import Mapping
from functools import partial

from gameday.core.clock import NS, boot_id
from gameday.evidence.events import Phase
from gameday.injection.drivers.request import authorization, secret
from gameday.run import canary, webhook
from gameday.run.children import Records, worker_config
from gameday.run.context import Run
from gameday.spec.faults.traffic import Spike
from gameday.spec.server import Server, server
from gameday.stacks.supervisor import SERVICE
from gameday.telemetry import catalogue
from gameday.telemetry.collector.abort_thresholds import aborting
from gameday.telemetry.collector.settings import (
    AlertmanagerSettings,
    CollectorSettings,
    PrometheusSettings,
    ReceiverSettings,
    ScrapeTarget,
    Targets,
)
from gameday.telemetry.sources.choice import prometheus_of
from gameday.traffic.metrics import request_tags
from gameday.traffic.worker.config import Config

LOOK_S = 5.0  # for what tells of replicas, where no reading comes
LEAD = 2  # grid instants before t = 0, of which the collector sees one at least


async def start_children(run: Run) -> None:
    """Both, then the start of the traffic: the counters are seen at 0 before it."""
    run.injection.use_traffic(run.traffic)
    grid_start_ns = run.clock.now_ns()
    await asyncio.gather(
        run.traffic.child.start(_traffic_config(run), partial(canary.on_worker_event, run)),
        run.collector.start(collector_config(run, grid_start_ns).line, run.readings.hear),
    )
    passed = (run.clock.now_ns() - grid_start_ns) // NS
    run.t0_ns = grid_start_ns + (passed + LEAD) * NS
    run.journal.write(Phase(phase="traffic", t0_ns=run.t0_ns))
    run.traffic.begin(run.t0_ns)


async def follow_replicas(run: Run) -> None:
    """Have the collector ask each replica that is there, when some are added or removed."""
    known: Mapping[str, str] = {each.name: each.url for each in _targets(run)}
    while True:
        await run.readings.next(LOOK_S)
        found = run.replicas()
        if found and found != known:
            known = dict(found)
            told = [ScrapeTarget(name=name, url=url) for name, url in known.items()]
            run.collector.send(Targets(targets=told).line())


def _targets(run: Run) -> list[ScrapeTarget]:
    return [
        ScrapeTarget(name=f"{SERVICE}-{n}", url=url) for n, url in enumerate(run.system.metrics)
    ]


def _traffic_config(run: Run) -> Config:
    reach = run.options.allowed.reach()
    coupon = run.sender.values.get("coupon", run.coupon)  # a number where the system has numbers
    records = Records(history_dir=run.history_dir, run=run.id, coupon=coupon, stock=run.stock)
    return worker_config(run.experiment, run.system, run.environment, reach, records)


def collector_config(run: Run, grid_start_ns: int) -> CollectorSettings:
    """The configuration of the collector."""
    issue = run.system.requests.issue
    offered = run.drill.playbooks if run.drill is not None else ()
    own = None if offered else run.playbook
    read = catalogue.expressions(run.experiment, run.system, own, offered)
    asked = prometheus_of(run.experiment, run.system)
    return CollectorSettings(
        samples=run.dir / "samples.jsonl",
        journal=run.dir / "journal.jsonl",
        history_dir=run.history_dir,
        grid_start_ns=grid_start_ns,
        targets=_targets(run),
        prometheus=None if asked is None else _prometheus(run, asked),
        receiver=None if asked is None else _receiver(run),
        series_to=_stack_bridge(run) if asked is None else None,
        alertmanager=None if asked is None else _alertmanager(run),
        tls=run.system.tls,
        scenarios=_scenarios(run),
        rules=list(run.rules),
        expressions={each.key: each.expr for each in read},
        thresholds=list(aborting(run.experiment)),
        tags=request_tags(issue.method, issue.path),
        clock=boot_id()[:8] or "host",
        reach=run.options.allowed.reach(),
        hidden=sorted(run.secrets),
        users=run.system.users,
    )


def _scenarios(run: Run) -> list[str]:
    """All that will have traffic. A drill names more: who reads them does not learn of a spike."""
    if run.drill is not None:
        return [*run.drill.scenarios]
    spikes = [f.id or f.fault for f in run.experiment.method if isinstance(f, Spike)]
    return [*run.experiment.traffic, *spikes]


def _prometheus(run: Run, asked: Server) -> PrometheusSettings:
    headers = authorization(asked, run.environment)
    return PrometheusSettings(url=asked.url, headers=headers, scrape_s=run.scrape_s)


def _alertmanager(run: Run) -> AlertmanagerSettings | None:
    """The Alertmanager to ask. Alerts of a Prometheus alone are ever notified of."""
    manager = server(run.system.alertmanager)
    if manager is None:
        return None
    return AlertmanagerSettings(url=manager.url, headers=authorization(manager, run.environment))


def _stack_bridge(run: Run) -> ReceiverSettings | None:
    if run.bridge is None or run.bridge.bearer is None:
        return None
    token = secret(run.bridge.bearer, run.environment)
    return ReceiverSettings(url=run.bridge.url, token=token)


def _receiver(run: Run) -> ReceiverSettings | None:
    """The bridge of the stack, or the one that the command line asks for."""
    if (ours := _stack_bridge(run)) is not None:
        return ours
    listen = run.options.webhook
    if listen is None:
        return None
    return ReceiverSettings(host=listen.host, port=listen.port, token=webhook.token())
