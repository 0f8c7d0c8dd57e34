"""Between the started stack and the first request: the campaign, and what is behind the proxies.

Nothing is broken yet. What is found wrong here ends the run before any traffic.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from gameday.controller.run import Run
from gameday.effects.toxiproxy import ToxiproxyError
from gameday.errors import GamedayError, StackError, UsageError
from gameday.faults.network import NetworkFault
from gameday.witness import direct_address, look

OURS = "gameday-"


async def prepare(run: Run) -> None:
    """Create the campaign (or look at the one there is), and measure the calm latencies."""
    run.journal.write("phase", phase="preflight")
    await _refuse_leftovers(run)
    if run.system.campaign is not None:
        await _create_campaign(run)
    else:
        await _take_campaign_as_it_is(run)
    for fault in run.experiment.method:
        if isinstance(fault, NetworkFault) and fault.target not in run.spots:
            await _look_at(run, fault.target)


async def _refuse_leftovers(run: Run) -> None:
    """What an earlier run left broken would be taken for this system's own weakness."""
    breaks_network = any(isinstance(fault, NetworkFault) for fault in run.experiment.method)
    if run.system.toxiproxy is None and not breaks_network:
        return
    server = run.site.toxiproxy()
    try:
        proxies = await server.proxies()
    except ToxiproxyError as error:
        if breaks_network:
            cure = "start it, or run an experiment that breaks no network"
            raise StackError(error.message, help=cure) from error
        return
    for name in sorted(set(run.system.proxies.values()) & set(proxies)):
        wrong = _left_behind(proxies[name])
        if wrong:
            raise StackError(
                f"toxiproxy {server.url}: proxy {name!r} {wrong}, before anything was broken",
                help="gameday heal takes out what a run has left behind",
            )


def _left_behind(proxy: Mapping[str, Any]) -> str:
    if not proxy["enabled"]:
        return "is disabled"
    toxics = [toxic["name"] for toxic in proxy.get("toxics") or []]
    ours = [name for name in toxics if name.startswith(OURS)]
    return f"has toxic {ours[0]}" if ours else ""


async def _create_campaign(run: Run) -> None:
    if run.system.campaign is None or run.stock is None:
        raise UsageError(
            f"experiment {run.experiment.name}: `campaign.stock` is needed to create a campaign"
        )
    try:
        await run.sender.send(run.system.campaign)
    except GamedayError as error:
        raise StackError(f"the campaign could not be created: {error.message}") from error
    run.campaign_made = True


async def _take_campaign_as_it_is(run: Run) -> None:
    """Without a way to create one: refuse a used campaign, and take the stock it says it has."""
    try:
        answer = (await run.sender.send(run.system.audit)).json()
        rows, stock = answer["rows"], int(answer["stock"])
    except (GamedayError, ValueError, KeyError, TypeError) as error:
        raise StackError(f"the audit cannot be read before the traffic: {error}") from error
    if rows:
        raise UsageError(
            f"campaign {run.coupon} is used: it has {len(rows)} issues already",
            help="name a fresh campaign, or give the system file a `campaign` request",
        )
    if run.stock is not None and run.stock != stock:
        raise UsageError(
            f"the experiment says stock {run.stock}, the system says {stock}",
            help="leave `campaign.stock` out to take the system's",
        )
    run.stock = stock


async def _look_at(run: Run, service: str) -> None:
    """The proxy's address and what answers behind it; without a proxy there is no spot."""
    server = run.site.toxiproxy()
    proxy = await server.proxy(run.site.proxy_name(service))
    if proxy is None:
        return
    host, _, port = str(proxy["listen"]).rpartition(":")
    if host in ("[::]", "0.0.0.0", ""):
        host = urlsplit(server.url).hostname or "127.0.0.1"
    upstream = await direct_address(proxy, server.url, run.options.allowed)
    spot = await look((host.strip("[]"), int(port)), run.clock, upstream)
    run.spots[service] = spot
    run.journal.write(
        "phase",
        phase="preflight",
        service=service,
        protocol=spot.protocol,
        before_ms=None if spot.before_ms is None else round(spot.before_ms, 3),
        extra_ms=None if spot.extra_ms is None else round(spot.extra_ms, 3),
    )
