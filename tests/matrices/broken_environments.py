"""Settings of `tests.matrices.broken`: forty ways for a fault not to be there, and right ones.

Who is wrong: the service (it does not pass by the proxy), the API (it does not do what it is
told), or somebody else, who alters the proxy while the fault lasts.
"""

import asyncio
import json
import signal
from collections.abc import Callable
from time import monotonic

from tests.matrices.broken import Build, Environment, Stage
from tests.matrices.broken_parts import CLOCK, Forward, Reply, adds_toxic, changed, start_toxi, web
from tests.support.sut_stores import free_port

ENVIRONMENTS: list[Environment] = []


def environment(
    *, healthy: bool = False, real: bool = False, code: int = 3
) -> Callable[[Build], Build]:
    """Add one to the list, under the function's name."""

    def add(build: Build) -> Build:
        name = build.__name__.replace("_", "-")
        ENVIRONMENTS.append(Environment(name, build, healthy, real, code))
        return build

    return add


def fault(name: str, **how: object) -> str:
    """A line of the method, from 3 s to 7 s."""
    told = "".join(f", {key}: {value}" for key, value in how.items())
    return f"{{fault: network.{name}, target: store, at: 3s, duration: 4s{told}}}"


def past_the_proxy(stage: Stage) -> None:
    stage.issuer.address = ("127.0.0.1", stage.store_port)


# The service.


@environment()
async def bypass(stage: Stage) -> None:
    """The service asks its store past the proxy."""
    past_the_proxy(stage)


@environment()
async def bypass_without_metric(stage: Stage) -> None:
    """The same, and the system file names no dependency metric."""
    past_the_proxy(stage)
    stage.metric = False


@environment(real=True)
async def bypass_of_the_real_one(stage: Stage) -> None:
    """The same, with the real Toxiproxy."""
    past_the_proxy(stage)


@environment()
async def unix_socket(stage: Stage) -> None:
    """The service asks over a socket in the file system."""
    stage.issuer.address = stage.redis.path


@environment()
async def wrong_proxy_named(stage: Stage) -> None:
    """The service passes by another proxy of the same Toxiproxy."""
    stage.issuer.address = ("127.0.0.1", await stage.toxi.proxy("store-b", stage.redis.port))


@environment()
async def proxy_of_another_service(stage: Stage) -> None:
    """The proxy named is before another service's store, which answers as well."""
    await stage.toxi.ask("DELETE", "/proxies/store")
    other = await stage.stack.enter_async_context(web(_nobody))
    await stage.toxi.proxy("store", other)
    stage.issuer.address = ("127.0.0.1", await stage.toxi.proxy("mine", stage.redis.port))


async def _nobody(method: str, path: str, body: bytes) -> Reply:
    del method, path, body
    return 404, b""


@environment()
async def second_toxiproxy(stage: Stage) -> None:
    """The traffic goes through one Toxiproxy, and the toxic to another one."""
    second = await stage.another_toxi()
    stage.issuer.address = ("127.0.0.1", await second.proxy("store", stage.redis.port))


@environment()
async def stale_pool(stage: Stage) -> None:
    """The service keeps the connections that it opened before the proxy was put in between."""
    through = stage.issuer.address
    past_the_proxy(stage)
    await stage.issuer.fill_pool(60)
    stage.issuer.address = through


@environment()
async def cached(stage: Stage) -> None:
    """The service answers from memory and asks no more."""
    stage.issuer.asks = lambda k: k <= 10


@environment()
async def asked_seldom(stage: Stage) -> None:
    """Every hundredth request asks, and the system file names no metric."""
    stage.issuer.asks = lambda k: k % 100 == 0
    stage.metric = False


@environment()
async def asked_aside(stage: Stage) -> None:
    """The service asks through the proxy, but nobody waits for the answer, and no metric tells."""
    stage.metric = False
    aside: set[asyncio.Task[None]] = set()

    def ask_aside(_k: int) -> bool:
        task = asyncio.ensure_future(stage.issuer.ask())
        aside.add(task)
        task.add_done_callback(aside.discard)
        return False

    stage.issuer.asks = ask_aside


@environment()
async def metric_is_constant(stage: Stage) -> None:
    """The service does not pass by the proxy, and its metric never moves."""
    past_the_proxy(stage)
    stage.issuer.metric = "constant"


@environment()
async def metric_of_another(stage: Stage) -> None:
    """The metric named has no samples."""
    past_the_proxy(stage)
    stage.issuer.metric = "other"


@environment()
async def metrics_do_not_answer(stage: Stage) -> None:
    """Nobody answers at the metrics' address."""
    past_the_proxy(stage)
    stage.issuer.metric = "dead"


@environment()
async def slow_before(stage: Stage) -> None:
    """Every request takes 400 ms, before the fault and in it; the store is asked past the proxy."""
    past_the_proxy(stage)
    stage.issuer.own_delay_s = lambda _t: 0.4


@environment()
async def restless(stage: Stage) -> None:
    """The service is slow for two of every four seconds, whatever the fault does."""
    past_the_proxy(stage)
    stage.issuer.own_delay_s = lambda t: 0.35 if t % 4 < 2 else 0.0


@environment()
async def one_stall(stage: Stage) -> None:
    """The service stands still once in the fault, for 0.7 s; the store is asked past the proxy."""
    past_the_proxy(stage)
    until_s = [0.0]
    stage.issuer.own_delay_s = lambda t: max(0.0, until_s[0] - t)

    async def stall(_path: str) -> None:
        until_s[0] = monotonic() + 0.7

    stage.once_broken(stall)


def stands_still(stage: Stage) -> None:
    """Past the proxy; for 2.6 of the fault's 4 s nobody is answered, then all are at once."""
    past_the_proxy(stage)
    until_s = [0.0]
    stage.issuer.own_delay_s = lambda t: max(0.0, until_s[0] - t)

    async def stop(_path: str) -> None:
        until_s[0] = monotonic() + 2.6

    stage.once_broken(stop, after_s=0.5)


@environment()
async def standstill(stage: Stage) -> None:
    """The service stands still for most of the fault; the store is asked past the proxy."""
    stands_still(stage)


@environment()
async def standstill_without_metric(stage: Stage) -> None:
    """The same, and the system file names no dependency metric."""
    stands_still(stage)
    stage.metric = False


@environment()
async def slow_in_the_fault(stage: Stage) -> None:
    """The service is slow while the fault lasts, for a reason of its own; its metric tells."""
    past_the_proxy(stage)
    until_s = [0.0]
    stage.issuer.own_delay_s = lambda t: 0.4 if t < until_s[0] else 0.0

    async def slow(_path: str) -> None:
        until_s[0] = monotonic() + 4.0

    stage.once_broken(slow, after_s=0.0)


@environment()
async def generator_hiccups(stage: Stage) -> None:
    """The traffic worker is stopped three times in the fault; the store is asked past the proxy."""
    past_the_proxy(stage)

    async def stop_and_go(_path: str) -> None:
        for _ in range(3):
            stage.worker().send_signal(signal.SIGSTOP)
            await CLOCK.sleep(0.5)
            stage.worker().send_signal(signal.SIGCONT)
            await CLOCK.sleep(0.4)

    stage.once_broken(stop_and_go, after_s=0.2)


@environment()
async def no_traffic_in_the_fault(stage: Stage) -> None:
    """Requests come before the fault and after it, and none in it."""
    drop = "executor: constant-arrival-rate, rate: 40/s"
    stage.traffic = (
        f"{{drop: {{{drop}, duration: 3s}}, late: {{{drop}, duration: 1s, startTime: 8s}}}}"
    )


@environment()
async def unknown_protocol_without_metric_bypassed(stage: Stage) -> None:
    """No probe speaks the store's protocol, no metric tells, and the proxy is not used."""
    await stage.unknown_protocol()
    stage.metric = False
    past_the_proxy(stage)


@environment()
async def unknown_protocol_bypassed(stage: Stage) -> None:
    """No probe speaks the store's protocol, and the service does not pass by the proxy."""
    await stage.unknown_protocol()
    past_the_proxy(stage)


@environment()
async def down_bypassed(stage: Stage) -> None:
    """The proxy is switched off, and the service does not need it."""
    past_the_proxy(stage)
    stage.fault = fault("down")


@environment()
async def timeout_bypassed(stage: Stage) -> None:
    """No answer comes through the proxy, and the service does not need it."""
    past_the_proxy(stage)
    stage.fault = fault("timeout")


@environment()
async def reset_bypassed(stage: Stage) -> None:
    """Connections through the proxy are reset, and the service has its own."""
    past_the_proxy(stage)
    stage.fault = fault("reset_peer")


@environment()
async def bandwidth_bypassed(stage: Stage) -> None:
    """The way through the proxy is slow, and the service has its own."""
    past_the_proxy(stage)
    stage.fault = fault("bandwidth", rate_kb_per_s=1)


# The API.


@environment()
async def no_api(stage: Stage) -> None:
    """Nobody listens where the system file says Toxiproxy is."""
    stage.api = f"http://127.0.0.1:{free_port()}"


@environment()
async def no_such_proxy(stage: Stage) -> None:
    """The system file names a proxy that is not there."""
    stage.proxy = "storr"


@environment()
async def disabled_proxy(stage: Stage) -> None:
    """The proxy is disabled already."""
    past_the_proxy(stage)
    await stage.toxi.ask("POST", "/proxies/store", {"enabled": False})


def _answers(status: int, body: bytes = b'{"error": "no"}') -> Build:
    """An API that answers so to whoever adds a toxic, and does nothing."""

    async def build(stage: Stage) -> None:
        async def lie(method: str, path: str, sent: bytes, forward: Forward) -> Reply:
            if adds_toxic(method, path):
                return status, body
            return await forward(method, path, sent)

        await stage.behind(lie)

    return build


@environment()
async def api_404(stage: Stage) -> None:
    """Adding a toxic is answered 404."""
    await _answers(404)(stage)


@environment()
async def api_409(stage: Stage) -> None:
    """Adding a toxic is answered 409."""
    await _answers(409)(stage)


@environment()
async def api_500(stage: Stage) -> None:
    """Adding a toxic is answered 500."""
    await _answers(500)(stage)


@environment()
async def api_garbage(stage: Stage) -> None:
    """Adding a toxic is answered 200 with a page for people."""
    await _answers(200, b"<html>welcome</html>")(stage)


@environment()
async def api_says_done(stage: Stage) -> None:
    """Adding a toxic is answered 200, and nothing is done."""
    await _answers(200, b"{}")(stage)


@environment()
async def api_is_read_only(stage: Stage) -> None:
    """Whatever alters something is answered 403."""

    async def lie(method: str, path: str, body: bytes, forward: Forward) -> Reply:
        return await forward(method, path, body) if method == "GET" else (403, b"{}")

    await stage.behind(lie)


@environment()
async def api_garbage_everywhere(stage: Stage) -> None:
    """Every call is answered 200 with a page for people."""

    async def lie(_method: str, _path: str, _body: bytes, _forward: Forward) -> Reply:
        return 200, b"<html>welcome</html>"

    await stage.behind(lie)


@environment()
async def api_hangs_up(stage: Stage) -> None:
    """Adding a toxic ends the connection without an answer."""

    async def lie(method: str, path: str, body: bytes, forward: Forward) -> Reply:
        return None if adds_toxic(method, path) else await forward(method, path, body)

    await stage.behind(lie)


@environment()
async def api_never_answers(stage: Stage) -> None:
    """Adding a toxic is never answered."""

    async def lie(method: str, path: str, body: bytes, forward: Forward) -> Reply:
        if adds_toxic(method, path):
            await CLOCK.sleep(60)
            return None
        return await forward(method, path, body)

    await stage.behind(lie)


@environment()
async def api_lies_well(stage: Stage) -> None:
    """Adding a toxic does nothing, and reading back shows it in place all the same."""
    kept: list[object] = []

    async def lie(method: str, path: str, body: bytes, forward: Forward) -> Reply:
        if adds_toxic(method, path):
            kept.append(json.loads(body))
            return 200, body
        if method == "DELETE":
            kept.clear()
            return 204, b""
        status, raw = await forward(method, path, body)
        shows = method == "GET" and path == "/proxies/store"
        return status, changed(raw, toxics=kept) if shows else raw

    await stage.behind(lie)


def _rewrites(**values: object) -> Build:
    """An API that adds another toxic than the one it was told."""

    async def build(stage: Stage) -> None:
        async def lie(method: str, path: str, body: bytes, forward: Forward) -> Reply:
            sent = changed(body, **values) if adds_toxic(method, path) else body
            return await forward(method, path, sent)

        await stage.behind(lie)

    return build


@environment()
async def toxicity_zero(stage: Stage) -> None:
    """The API in between makes the toxic one for no connection."""
    await _rewrites(toxicity=0)(stage)


@environment()
async def wrong_direction(stage: Stage) -> None:
    """The API in between turns the toxic round."""
    await _rewrites(stream="upstream")(stage)


@environment()
async def another_type(stage: Stage) -> None:
    """The API in between adds a toxic that does nothing."""
    await _rewrites(type="noop", attributes={})(stage)


@environment()
async def a_tenth_of_it(stage: Stage) -> None:
    """The API in between adds a tenth of the latency."""
    await _rewrites(attributes={"latency": 30, "jitter": 0})(stage)


@environment()
async def toxic_goes_elsewhere(stage: Stage) -> None:
    """The API in between puts the toxic on another proxy, and shows that one."""
    await stage.toxi.proxy("other", stage.redis.port)

    async def lie(method: str, path: str, body: bytes, forward: Forward) -> Reply:
        moved = path.replace("/proxies/store/", "/proxies/other/")
        status, raw = await forward(method, moved, body)
        if method == "GET" and path == "/proxies/store":
            _, other = await forward("GET", "/proxies/other", b"")
            raw = changed(raw, toxics=json.loads(other)["toxics"])
        return status, raw

    await stage.behind(lie)


# Somebody else.


@environment()
async def switched_to_toxicity_zero(stage: Stage) -> None:
    """Another tool turns the toxicity down to 0 while the fault lasts."""
    stage.once_broken(lambda path: stage.toxi.ask("POST", path, {"toxicity": 0}))


@environment(real=True)
async def switched_to_zero_on_the_real_one(stage: Stage) -> None:
    """The same, with the real Toxiproxy."""
    stage.once_broken(lambda path: stage.toxi.ask("POST", path, {"toxicity": 0}))


@environment()
async def turned_down(stage: Stage) -> None:
    """Another tool makes it one millisecond."""
    stage.once_broken(lambda path: stage.toxi.ask("POST", path, {"attributes": {"latency": 1}}))


@environment()
async def taken_out(stage: Stage) -> None:
    """Another tool removes the toxic."""
    stage.once_broken(lambda path: stage.toxi.ask("DELETE", path))


@environment()
async def reset_by_somebody(stage: Stage) -> None:
    """Another tool resets all of Toxiproxy."""
    stage.once_broken(lambda _path: stage.toxi.ask("POST", "/reset"))


@environment(real=True)
async def reset_of_the_real_one(stage: Stage) -> None:
    """The same, with the real Toxiproxy."""
    stage.once_broken(lambda _path: stage.toxi.ask("POST", "/reset"))


@environment()
async def proxy_deleted(stage: Stage) -> None:
    """Another tool deletes the proxy."""
    stage.once_broken(lambda _path: stage.toxi.ask("DELETE", "/proxies/store"))


@environment()
async def proxy_disabled_meanwhile(stage: Stage) -> None:
    """Another tool disables the proxy for two seconds of the latency."""

    async def off_and_on(_path: str) -> None:
        await stage.toxi.ask("POST", "/proxies/store", {"enabled": False})
        await CLOCK.sleep(2.0)
        await stage.toxi.ask("POST", "/proxies/store", {"enabled": True})

    stage.once_broken(off_and_on)


@environment()
async def proxy_enabled_again(stage: Stage) -> None:
    """The fault switches the proxy off, and another tool on again."""
    stage.fault = fault("down")
    stage.once_broken(
        lambda _path: stage.toxi.ask("POST", "/proxies/store", {"enabled": True}), after_s=0.3
    )


@environment()
async def populated_anew(stage: Stage) -> None:
    """Another tool populates the proxy with another upstream, which drops its toxics."""
    other = free_port()
    body = [{"name": "store", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{other}"}]
    stage.once_broken(lambda _path: stage.toxi.ask("POST", "/populate", body))


@environment()
async def upstream_swapped(stage: Stage) -> None:
    """Another tool gives the proxy another upstream."""
    second = {"upstream": f"localhost:{stage.redis.port}"}
    stage.once_broken(lambda _path: stage.toxi.ask("POST", "/proxies/store", second))


@environment()
async def listen_moved(stage: Stage) -> None:
    """Another tool makes the proxy listen elsewhere."""
    moved = {"listen": f"127.0.0.1:{free_port()}"}
    stage.once_broken(lambda _path: stage.toxi.ask("POST", "/proxies/store", moved))


@environment()
async def toxiproxy_restarted(stage: Stage) -> None:
    """Toxiproxy dies and comes back at the same address, with the proxy and without the toxic."""
    port = int(stage.toxi.url.rpartition(":")[2])
    listen = (await stage.toxi.ask("GET", "/proxies/store"))["listen"]

    async def restart(_path: str) -> None:
        await stage.toxi.end()
        again = await start_toxi(port=port)
        stage.stack.push_async_callback(again.end)
        body = {"name": "store", "listen": listen, "upstream": f"127.0.0.1:{stage.redis.port}"}
        await again.ask("POST", "/proxies", body)

    stage.once_broken(restart)


@environment(code=6)
async def toxiproxy_gone(stage: Stage) -> None:
    """Toxiproxy dies and stays away; the service fails, but not by the latency."""
    stage.once_broken(lambda _path: stage.toxi.end())


# As it must be.


@environment(healthy=True)
async def right_latency(stage: Stage) -> None:
    """The service passes by the proxy."""


@environment(healthy=True, real=True)
async def right_latency_on_the_real_one(stage: Stage) -> None:
    """The same, with the real Toxiproxy."""


@environment(healthy=True)
async def right_latency_without_metric(stage: Stage) -> None:
    """Only the traffic tells."""
    stage.metric = False


@environment(healthy=True)
async def right_latency_only_in_the_metric(stage: Stage) -> None:
    """Every tenth request asks the store, and the service's own metric tells it."""
    stage.issuer.asks = lambda k: k % 10 == 0


@environment(healthy=True)
async def right_down(stage: Stage) -> None:
    """The store is not reached any more, and requests fail."""
    stage.fault = fault("down")


@environment(healthy=True)
async def right_timeout(stage: Stage) -> None:
    """The store answers no more."""
    stage.fault = fault("timeout")


@environment(healthy=True)
async def right_reset(stage: Stage) -> None:
    """Every new connection to the store is reset."""
    stage.issuer.fresh = True
    stage.fault = fault("reset_peer")


@environment(healthy=True)
async def right_bandwidth(stage: Stage) -> None:
    """Answers of 400 bytes trickle at 2 kB/s."""
    stage.issuer.question = b"ECHO " + b"x" * 400 + b"\r\n"
    stage.fault = fault("bandwidth", rate_kb_per_s=2)


@environment(healthy=True)
async def right_unknown_protocol_without_metric(stage: Stage) -> None:
    """The toxic is read back, and the traffic is slow from the fault's first seconds on."""
    await stage.unknown_protocol()
    stage.metric = False


@environment(healthy=True)
async def right_unknown_protocol(stage: Stage) -> None:
    """No probe speaks the store's protocol; the toxic is read back, and the metric tells."""
    await stage.unknown_protocol()
