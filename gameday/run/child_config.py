"""The traffic worker and the collector of a run: what each is told before it begins.

Every expression that will be read is known here, before the traffic starts, so that nobody asks
and waits later.
"""

import asyncio
from dataclasses import asdict
from functools import partial
from typing import Any

from gameday.core.clock import NS, boot_id
from gameday.evidence.events import Phase
from gameday.injection.drivers.request import authorization, secret, secrets_of
from gameday.run import canary, webhook
from gameday.run.children import worker_config
from gameday.run.context import Run
from gameday.spec.faults.traffic import Spike
from gameday.spec.server import server
from gameday.telemetry import catalogue
from gameday.telemetry.collector.abort_thresholds import aborting
from gameday.telemetry.sources.choice import prometheus_of
from gameday.traffic.metrics import request_tags

LEAD = 2  # grid instants before t = 0, of which the collector sees one at least


async def start_children(run: Run) -> None:
    """Both, then the start of the traffic: the counters are seen at 0 before it."""
    run.injection.use_traffic(run.traffic)
    grid_start_ns = run.clock.now_ns()
    await asyncio.gather(
        run.traffic.child.start(_traffic_config(run), partial(canary.on_worker_line, run)),
        run.collector.start(collector_config(run, grid_start_ns), run.readings.hear),
    )
    passed = (run.clock.now_ns() - grid_start_ns) // NS
    run.t0_ns = grid_start_ns + (passed + LEAD) * NS
    run.journal.write(Phase(phase="traffic", t0_ns=run.t0_ns))
    run.traffic.begin(run.t0_ns)


def _traffic_config(run: Run) -> dict[str, Any]:
    reach = run.options.allowed.reach()
    return {
        **worker_config(run.experiment, run.system, run.environment, reach),
        "history_dir": str(run.history_dir),
        "run": run.id,
        "coupon": run.coupon,
        "stock": run.stock,
    }


def collector_config(run: Run, grid_start_ns: int) -> dict[str, Any]:
    """The configuration of the collector: the settings of `gameday.telemetry.collector`."""
    issue = run.system.requests.issue
    spikes = [f.id or f.fault for f in run.experiment.method if isinstance(f, Spike)]
    targets = [{"name": f"service-{n}", "url": url} for n, url in enumerate(run.system.metrics)]
    return {
        "samples": str(run.dir / "samples.jsonl"),
        "history_dir": str(run.history_dir),
        "grid_start_ns": grid_start_ns,
        "period_ns": NS,
        "targets": targets,
        "scrape_timeout_s": 0.8,
        **_servers(run),
        "tls": run.system.tls.model_dump(mode="json"),
        "scenarios": [*run.experiment.traffic, *spikes],
        "rules": [str(path) for path in run.rules],
        "expressions": {
            each.key: each.expr
            for each in catalogue.expressions(run.experiment, run.system, run.playbook)
        },
        "thresholds": {
            one.name: {"metric": one.metric, "threshold": one.threshold}
            for one in aborting(run.experiment)
        },
        "tags": request_tags(issue.method, issue.path),
        "clock": boot_id()[:8] or "host",
        "reach": asdict(run.options.allowed.reach()),
        "hidden": secrets_of(run.system, run.environment),
    }


def _servers(run: Run) -> dict[str, Any]:
    """The Prometheus to ask, and where its alerts go. Its alerts alone are ever notified of."""
    asked = prometheus_of(run.experiment, run.system)
    if asked is None:
        return {}
    headers = authorization(asked, run.environment)
    found: dict[str, Any] = {
        "prometheus": {"url": asked.url, "headers": headers, "scrape_s": run.scrape_s},
        "receiver": _receiver(run),
    }
    manager = server(run.system.alertmanager)
    if manager is not None:
        headers = authorization(manager, run.environment)
        found["alertmanager"] = {"url": manager.url, "headers": headers}
    return found


def _receiver(run: Run) -> dict[str, Any] | None:
    """The bridge of the stack, or the one that the command line asks for."""
    if run.bridge is not None and run.bridge.bearer is not None:
        return {"url": run.bridge.url, "token": secret(run.bridge.bearer, run.environment)}
    listen = run.options.webhook
    if listen is None:
        return None
    return {"host": listen.host, "port": listen.port, "token": webhook.token()}
