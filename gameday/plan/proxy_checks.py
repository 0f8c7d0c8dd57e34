"""A stack that is up: its Toxiproxy, and the proxies that faults will strike.

A proxy that is missing, disabled or still broken by an earlier run would make the run's statements
worth nothing, and a wedged Toxiproxy could not be asked to take a fault out again. A probe through
each proxy shows that it carries traffic, which protocol is behind it, and how fast it is when
nothing is wrong.
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from urllib.parse import urlsplit

from gameday.core.clock import Clock
from gameday.core.errors import GamedayError, UsageError
from gameday.core.messages import Message
from gameday.core.network.allow_list import Allowed
from gameday.core.network.urls import store_ends
from gameday.injection.context import InjectionContext
from gameday.injection.drivers import Drivers
from gameday.injection.drivers.request import secret
from gameday.injection.toxiproxy_client import Toxiproxy, ToxiproxyError
from gameday.injection.upstream import Published, refuse_foreign_upstream
from gameday.injection.verify.probe import ExpectedProtocol, Spot, knock, look
from gameday.injection.verify.recovery import direct_address
from gameday.plan.finding import Finding, from_error
from gameday.spec.changes import (
    CommandChange,
    ContainerChange,
    ExpireKeys,
    NetworkChange,
    ServiceChange,
    StoreChange,
)
from gameday.spec.experiment import Experiment
from gameday.spec.proxies import Protocol, guess
from gameday.spec.request import Secret
from gameday.spec.system import System
from gameday.spec.undos import ProxyState

_PREPARED = StoreChange | ServiceChange | ContainerChange | CommandChange
OURS = "gameday-"
ASK_S = 3.0  # Toxiproxy's API answers in a millisecond; one that needs seconds is wedged
_HEAL = "gameday heal takes out what a run has left behind"


@dataclass(slots=True)
class Network:
    """Findings about the network, and a place to probe for each service that a fault strikes."""

    findings: list[Finding] = field(default_factory=list)
    spots: dict[str, Spot] = field(default_factory=dict)


def struck(experiment: Experiment) -> list[str]:
    """The services whose proxies a fault changes, in the order of the method."""
    changes = [change for fault in experiment.method for change in fault.changes()]
    named = [change.proxy for change in changes if isinstance(change, NetworkChange)]
    return list(dict.fromkeys(named))


@dataclass(frozen=True, slots=True)
class _Way:
    """The route to the proxies of a server, and past them."""

    url: str
    allowed: Allowed
    clock: Clock
    published: Mapping[str, Published]
    stores: Mapping[tuple[str, int], Protocol]


@dataclass(frozen=True, slots=True)
class _Service:
    """A service behind a proxy: its names, and the protocol that the system file says it speaks."""

    name: str
    proxy_name: str
    proxy: ProxyState
    declared: Protocol | None

    @classmethod
    def of(cls, system: System, name: str, proxies: Mapping[str, ProxyState]) -> "_Service":
        proxy_name = system.proxy_of(name)
        return cls(name, proxy_name, proxies[proxy_name], system.protocol_of(name))

    def expected(self, stores: Mapping[tuple[str, int], Protocol]) -> ExpectedProtocol:
        """Whom to expect behind it."""
        if self.declared is not None:
            return ExpectedProtocol(self.declared, declared=True)
        host, _, port = self.proxy.upstream.rpartition(":")
        is_port = port.isascii() and port.isdecimal() and len(port) <= 5
        end = (_here(host.strip("[]")), int(port)) if is_port else None
        return ExpectedProtocol(guess((self.name, self.proxy_name, host), end, stores))


async def network(
    experiment: Experiment,
    system: System,
    allowed: Allowed,
    clock: Clock,
    published: Mapping[str, Published] = MappingProxyType({}),
) -> Network:
    """Look at Toxiproxy and every proxy that matters; `allowed` hosts may be asked directly.

    `published` is where the proxies of a stack of ours are reached, if that is not where they say.
    """
    services, found = struck(experiment), Network()
    if system.toxiproxy is None:
        if services:
            cure = "add `toxiproxy: http://HOST:8474` and `proxies:` to the system file"
            text = "this experiment breaks the network, but the system names none"
            found.findings.append(Finding("toxiproxy", "fail", text, cure, usage=True))
        return found
    server = Toxiproxy(system.toxiproxy, ASK_S)
    try:
        proxies = await server.proxies()
    except ToxiproxyError as error:
        found.findings.append(await _silent(server, error, needed=bool(services)))
        return found
    wrong = _state(server, system, services, proxies)
    struck_too = {n: proxies[n] for n in map(system.proxy_of, services) if n in proxies}
    strange = {
        name: proxy
        for name, proxy in struck_too.items()
        if name not in published or published[name].upstream != proxy.upstream
    }
    wrong += await _led_away(server, strange, allowed)
    found.findings += wrong
    broken = {each.name for each in wrong if each.status == "fail"}
    whole = [name for name in services if _name(system.proxy_of(name)) not in broken]
    way = _Way(server.url, allowed, clock, published, _ends_of_stores(system))
    looked = await asyncio.gather(
        *(_probe(_Service.of(system, name, proxies), way) for name in whole)
    )
    for service, (spot, finding) in zip(whole, looked, strict=True):
        found.spots[service] = spot
        found.findings.append(finding)
    return found


async def prepared(experiment: Experiment, context: InjectionContext) -> list[Finding]:
    """Findings about stores and processes: each fault reads whether its target is there.

    Keys that are to expire are looked for only when their fault begins: none may be there yet.
    """
    found, drivers = [], Drivers()
    for fault in experiment.method:
        for change in fault.changes():
            if isinstance(change, ExpireKeys):
                continue
            if not isinstance(change, _PREPARED):
                continue
            try:
                await drivers.prepare(change, context)
            except GamedayError as error:
                found.append(from_error(f"fault {fault.id}", error))
            else:
                found.append(Finding(f"fault {fault.id}", "ok", Message("finding.there")))
    return found


async def _silent(server: Toxiproxy, error: ToxiproxyError, *, needed: bool) -> Finding:
    """Why the proxies cannot be listed: a dead server, or one that is wedged for good."""
    name = f"toxiproxy {server.url}"
    try:
        version = await server.version()
    except ToxiproxyError:
        cure = "start it, or run an experiment that breaks no network"
        return Finding(name, "fail" if needed else "warn", error.message, cure)
    text = f"wedged: /version answers {version}, /proxies does not ({error.message})"
    return Finding(name, "fail", text, "restart it: nothing else helps, and its toxics go with it")


def _name(proxy: str) -> str:
    return f"proxy {proxy}"


def _state(
    server: Toxiproxy, system: System, services: list[str], proxies: Mapping[str, ProxyState]
) -> list[Finding]:
    """Findings about the proxies on the server: missing, disabled, or with toxics on them."""
    found = [Finding(f"toxiproxy {server.url}", "ok", Message("finding.proxies", n=len(proxies)))]
    for service in services:
        name = system.proxy_of(service)
        if name not in proxies:
            there = ", ".join(sorted(proxies)) or "none"
            text = f"toxiproxy {server.url} has no proxy {name!r} for {service!r}"
            cure = f"make it, or name the right one under `proxies`; it has {there}"
            found.append(Finding(_name(name), "fail", text, cure))
    for name in sorted(set(system.proxy_names.values()) & set(proxies)):
        wrong = left_behind(proxies[name])
        others = proxies[name].toxic_names
        if wrong:
            text = f"{wrong}, before anything was broken (toxiproxy {server.url})"
            found.append(Finding(_name(name), "fail", text, _HEAL))
        elif others:
            cure = "remove it, unless it is meant to stay: gameday leaves it alone"
            found.append(Finding(_name(name), "warn", f"has a toxic {others[0]!r}", cure))
    return found


def left_behind(proxy: ProxyState) -> str:
    """A change that an earlier run has left on a proxy, "" where there is none."""
    if not proxy.enabled:
        return "is disabled"
    ours = [name for name in proxy.toxic_names if name.startswith(OURS)]
    return f"has toxic {ours[0]}" if ours else ""


async def _led_away(
    server: Toxiproxy, proxies: Mapping[str, ProxyState], allowed: Allowed
) -> list[Finding]:
    """Proxies that lead to a host which may not be broken, or listen at one."""
    found = []
    for name, proxy in proxies.items():
        try:
            await refuse_foreign_upstream(name, proxy.upstream, server.url, allowed)
            where = f"toxiproxy {server.url}: where proxy {name!r} listens"
            await allowed.resolve(_address(proxy, server.url)[0], 0, where)
        except UsageError as error:
            found.append(from_error(_name(name), error))
    return found


def _here(host: str) -> str:
    """One name for this machine, which has several."""
    return "127.0.0.1" if host in ("localhost", "::1", "127.0.0.1") else host


def _ends_of_stores(system: System) -> dict[tuple[str, int], Protocol]:
    """The addresses of the stores that the system file names, and what is spoken there."""
    found: dict[tuple[str, int], Protocol] = {}
    stores = system.stores
    named: tuple[tuple[Secret | None, Protocol, int], ...] = (
        (stores.redis.url if stores.redis else None, "redis", 6379),
        (stores.postgres.dsn if stores.postgres else None, "postgres", 5432),
    )
    for reference, protocol, usual in named:
        if reference is not None:
            with suppress(GamedayError, ValueError):  # what cannot be read is told elsewhere
                ends = store_ends(secret(reference, os.environ))
                found |= {(_here(host), port or usual): protocol for host, port in ends}
    return found


async def _probe(service: _Service, way: _Way) -> tuple[Spot, Finding]:
    """Ask through the proxy, and tell what came back."""
    proxy, clock = service.proxy, way.clock
    known = way.published.get(service.proxy_name)
    if known is None:
        address = _address(proxy, way.url)
        upstream = await direct_address(proxy.upstream, way.url, way.allowed)
    else:
        address, upstream = known.proxy, known.direct
    spot = await look(address, clock, upstream, service.expected(way.stores))
    spot = replace(spot, relayed=known is not None)
    name, shown = _name(service.proxy_name), f"{address[0]}:{address[1]}"
    if spot.protocol != "unknown" and spot.before_ms is not None:
        protocol, before_ms = spot.protocol, spot.before_ms
        seen = Message("finding.carries", protocol=protocol, at=shown, before_ms=before_ms)
        return spot, Finding(name, "ok", seen)
    if (await knock(address, clock)).answer == "refused":
        cure = "is the address the one that can be reached from here?"
        return spot, Finding(name, "fail", f"nothing listens at {shown}", cure)
    if upstream is not None and (await knock(upstream, clock)).answer == "refused":
        text = f"carries nothing: nothing listens at its upstream, {proxy.upstream}"
        return spot, Finding(name, "fail", text, "start what stands behind it")
    if service.declared == "tcp":
        return spot, Finding(name, "ok", Message("finding.takes_connections", at=shown))
    if service.declared is not None:
        text = f"{shown} takes connections, but does not answer as {service.declared} does"
        cure = f"is `protocol: {service.declared}` right? see docs/own-faults.md"
        return spot, Finding(name, "warn", text, cure)
    text = f"{shown} takes connections, and what it speaks is not known: nothing was sent to it"
    cure = (
        f"say it: `proxies: {{{service.name}: {{proxy: {service.proxy_name}, protocol: …}}}}`;"
        " without it most faults are proven by the traffic alone: docs/own-faults.md"
    )
    return spot, Finding(name, "warn", text, cure)


def _address(proxy: ProxyState, url: str) -> tuple[str, int]:
    """The address that the proxy listens on; "all interfaces" means its server's host."""
    host, _, port = proxy.listen.rpartition(":")
    if host in ("[::]", "0.0.0.0", ""):
        host = urlsplit(url).hostname or "127.0.0.1"
    return host.strip("[]"), int(port)
