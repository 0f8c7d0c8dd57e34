"""Hostile answers: to the audit, the campaign, close and actions, Toxiproxy, metrics, the traffic.

Whatever answers, the command ends in its time, and says what came instead of an answer.
"""

import asyncio
import gzip
import io
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from gameday.core.clock import SystemClock
from gameday.core.errors import GamedayError
from gameday.core.json_objects import plain, read_object
from gameday.evidence.audit import audit_of
from gameday.injection.drivers import Drivers
from gameday.injection.drivers.request import Sender, undo_record
from gameday.injection.toxiproxy_client import Toxiproxy
from gameday.plan import prometheus_checks, service_checks
from gameday.run import audit
from gameday.run.audit_file import AuditReading
from gameday.spec.request import Request
from gameday.spec.server import Server as Named
from gameday.spec.system import System
from gameday.spec.tls import Tls
from gameday.spec.undos import ToxicState
from gameday.telemetry import samples
from gameday.telemetry.collector.scrape import Scraper
from gameday.telemetry.collector.settings import CollectorSettings, ScrapeTarget
from gameday.telemetry.collector.tick import Instants
from gameday.telemetry.promql import labels
from gameday.telemetry.sources.notifications import Alertmanager, RemoteBridge
from gameday.telemetry.sources.routing import Routing
from tests.attacks.place import Place
from tests.attacks.registry import attack
from tests.attacks.server import (
    Script,
    Server,
    answer,
    floods,
    resets,
    says,
    sends,
    stalls,
    trickles,
)
from tests.support.plan_parts import inputs_of

T = TypeVar("T")
WITHIN_S = 1.0
PATIENCE_S = 15.0  # of a machine that does much else
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LONG = HEAD + b"Content-Length: 99999\r\n\r\n"
ZEROS = gzip.compress(bytes(200_000_000), 1)
BOMB = answer(ZEROS, 200, "Content-Encoding: gzip")

WIRE: dict[str, Script] = {
    "nothing": stalls(),
    "closed": sends(),
    "reset": resets(HEAD),
    "no-http": sends(b"220 mail.example ESMTP\r\n"),
    "stalled-head": stalls(HEAD),
    "trickled-head": trickles(b"", HEAD + b"A: b\r\n" * 999, 0.02),
    "trickled-body": trickles(LONG, b" " * 9_999, 0.02),
    "stalled-body": stalls(LONG, b'{"rows": ['),
    "cut-body": sends(LONG, b'{"rows": ['),
    "reset-body": resets(LONG, b'{"rows": ['),
    "endless-head": floods(HEAD, b"A: b\r\n" * 99),
    "endless-interim": floods(b"", b"HTTP/1.1 103 Hints\r\n\r\n" * 99),
    "endless-chunks": floods(CHUNKED, b"1000\r\n%s\r\n" % (b"[" * 4096)),
    "tiny-chunks": floods(CHUNKED, b"1\r\n \r\n" * 99),
    "endless-trailers": floods(CHUNKED + b"0\r\n", b"A: b\r\n" * 99),
    "bad-chunk": sends(CHUNKED + b"-5\r\nabcde\r\n"),
    "bomb": sends(BOMB),
    "bad-gzip": sends(answer(b"{}", 200, "Content-Encoding: gzip")),
    "encoded-oddly": sends(answer(b"{}", 200, "Content-Encoding: zstd")),
    "a-huge-length": stalls(HEAD + b"Content-Length: 99999999999\r\n\r\n"),
    "a-length-of-digits": sends(HEAD + b"Content-Length: %s\r\n\r\n" % (b"9" * 9_999)),
    "redirect-to-itself": sends(answer(b"", 302, "Location: /")),
    "deep": says(b"[" * 1_000_000),
    "deep-objects": says(b'{"a":' * 200_000),
    "not-utf8": says(b'{"rows": [], "stock": "\xff"}'),
    "half-a-pair": says(b'{"rows": [], "stock": "\\ud800"}'),
    "infinite": says(b'{"rows": [], "stock": 1e999}'),
    "nan": says(b'{"rows": [], "stock": NaN}'),
    "digits": says(b'{"rows": [], "stock": ' + b"9" * 100_000 + b"}"),
    "infinite-in-digits": says(b'{"rows": [], "stock": 1%se99}' % (b"0" * 229)),
    "brackets": says(b'{"rows": [], "stock": [%s{}]}' % (b"{}," * 3_000_000)),
    "brackets-in-a-row": says(b'{"rows": [{"a": [%s{}]}], "stock": 5}' % (b"{}," * 2_000_000)),
    "html": says("<html>" * 999),
    "empty": says(""),
}

ROWS: dict[str, Any] = {
    "no-list": 7,
    "a-mapping": {"userId": 1, "issueId": "a"},
    "numbers": [1, 2],
    "lists": [[1, "a"]],
    "nulls": [None],
    "no-user": [{"issueId": "a"}],
    "no-id": [{"userId": 1}],
}

USERS: dict[str, Any] = {
    "huge": 10**30,
    "negative": -(10**30),
    "just-too-large": 2**63,
    "infinite": float("inf"),
    "nan": float("nan"),
    "fraction": 1.5,
    "true": True,
    "null": None,
    "text": "abc",
    "long-text": "9" * 9_999,
    "list": [1],
    "mapping": {},
}

IDS: dict[str, Any] = {
    "half-a-pair": "\ud800",
    "nul": "a\0",
    "megabyte": "x" * 1_000_000,
    "list": ["a"],
    "mapping": {"a": 1},
    "true": True,
    "infinite": float("inf"),
}

VIEWS: dict[str, Any] = {
    "a-list": [],
    "a-number": {"redis": 7},
    "remaining-text": {"redis": {"remaining": "many"}},
    "remaining-huge": {"redis": {"remaining": 10**30}},
    "remaining-list": {"redis": {"remaining": [1]}},
    "holders-number": {"redis": {"holders": 7}},
    "holders-text": {"redis": {"holders": "12"}},
    "holders-null": {"redis": {"holders": [None]}},
    "holders-huge": {"redis": {"holders": [10**30]}},
    "holders-nested": {"redis": {"holders": [[1]]}},
    "current-text": {"redis": {"current": "yes"}},
}

STOCKS: dict[str, Any] = {
    "text": "many",
    "null": None,
    "true": True,
    "negative": -1,
    "huge": 10**30,
    "fraction": 1.5,
    "list": [5],
}


def system_at(url: str) -> System:
    """A system whose every request has a second."""
    timed = {"timeout": f"{WITHIN_S:g}s"}
    return System.model_validate(
        {
            "name": "hostile",
            "base_url": url,
            "metrics": [f"{url}/metrics"],
            "start": {"argv": ["true"], "ready": "/ready"},
            "requests": {"issue": {"post": "/issue", "outcomes": {"issued": {"status": 200}}}},
            "campaign": {"post": "/campaign", **timed},
            "audit": {"get": "/audit", **timed},
        }
    )


def within(ask: Callable[[], Awaitable[T]]) -> T:
    """What is asked, which must be over in its time and in little memory."""
    begun_s = time.monotonic()
    found = asyncio.run(_ask(ask))
    assert time.monotonic() - begun_s < PATIENCE_S
    return found


async def _ask(ask: Callable[[], Awaitable[T]]) -> T:
    return await ask()


def read_audit(place: Place, script: Script) -> tuple[AuditReading, Path]:
    """The audit of a system that answers so, as it lies in a run directory."""
    with Server({"": script}) as server:
        sender = Sender(server.url, {"coupon": "C", "run": "r"}, {})
        system = system_at(server.url)
        found = within(lambda: audit.read(system, sender, "C", None, SystemClock()))
    path = place.folder / "audit.json"
    found.write(path)
    again = audit_of(io.BytesIO(path.read_bytes()))
    assert again.problem == found.problem
    return found, path


@attack("answers", WIRE)
def an_audit_over_the_wire_is_unknown_with_its_reason(place: Place, script: Script) -> None:
    found, _ = read_audit(place, script)
    assert found.problem.startswith("audit answer: "), found.problem
    assert len(found.problem) < 1_000
    assert found.cut == "unknown"


@attack("answers", ROWS)
def rows_of_an_audit_are_rows_or_it_is_unknown(place: Place, rows: Any) -> None:
    found, path = read_audit(place, says(json.dumps({"stock": 5, "rows": rows})))
    assert found.problem.startswith("audit answer: "), found.problem
    assert len(found.problem) < 300
    assert path.stat().st_size < 10_000


@attack("answers", USERS)
def the_user_of_a_row_is_a_number(place: Place, user: Any) -> None:
    rows_of_an_audit_are_rows_or_it_is_unknown(place, [{"userId": user, "issueId": "a"}])


@attack("answers", IDS)
def the_id_of_a_row_is_a_short_text(place: Place, id_: Any) -> None:
    rows_of_an_audit_are_rows_or_it_is_unknown(place, [{"userId": 1, "issueId": id_}])


@attack("answers", VIEWS)
def views_of_an_audit_are_views_or_it_is_unknown(place: Place, views: Any) -> None:
    body = {"stock": 5, "rows": [{"userId": 1, "issueId": "a"}], "views": views}
    found, _ = read_audit(place, says(json.dumps(body)))
    assert "views" in found.problem or "number of a user" in found.problem, found.problem
    assert found.cut == "unknown"


@attack("answers", STOCKS)
def the_stock_of_an_audit_is_a_number(place: Place, stock: Any) -> None:
    found, _ = read_audit(place, says(json.dumps({"stock": stock, "rows": []})))
    assert "stock" in found.problem or "number" in found.problem, found.problem


@attack("answers", WIRE)
def a_look_before_a_run_fails_with_a_cure(_place: Place, script: Script) -> None:
    async def look(url: str) -> None:
        system = system_at(url)
        found = await service_checks.campaign(system, Sender(url, {"coupon": "C"}, {}), "C", None)
        assert [each.status for each in found.findings] == ["fail"]
        assert found.findings[0].cure

    with Server({"": script}) as server:
        within(lambda: look(server.url))


# What is an answer all the same: its text is not read by whoever only asks for the status.
ONLY_ITS_BODY = frozenset(
    {
        *("deep", "deep-objects", "not-utf8", "half-a-pair", "infinite", "nan", "digits"),
        *("infinite-in-digits", "brackets", "brackets-in-a-row", "html", "empty"),
    }
)
NO_ANSWER = {name: script for name, script in WIRE.items() if name not in ONLY_ITS_BODY}


@attack("answers", NO_ANSWER)
def a_request_of_the_system_file_ends_in_its_time(_place: Place, script: Script) -> None:
    request = Request.model_validate({"post": "/close", "timeout": f"{WITHIN_S:g}s"})

    async def act(url: str) -> None:
        for ask in (
            Sender(url, {}, {}).send(request),
            Drivers().undo(undo_record("act", request, url, {})),
        ):
            try:
                await ask
            except GamedayError as error:
                assert error.exit_code != 70
                assert len(error.message) < 1_000
            else:
                raise AssertionError("it was taken for an answer")

    with Server({"": script}) as server:
        within(lambda: act(server.url))


@attack("answers", WIRE)
def toxiproxy_answers_what_it_does_or_is_said_not_to(_place: Place, script: Script) -> None:
    async def call(url: str) -> None:
        server = Toxiproxy(url, WITHIN_S)
        for ask in (
            server.proxies(),
            server.version(),
            server.add_toxic("p", ToxicState(name="t")),
        ):
            try:
                await ask
            except GamedayError as error:
                assert error.exit_code != 70
                assert len(error.message) < 1_000

    with Server({"": script}) as server:
        within(lambda: call(server.url))


SHOWN = {"listen": "127.0.0.1:1", "upstream": "127.0.0.1:2", "enabled": True}
PROXIES: dict[str, Any] = {
    "a-list": [],
    "a-number": {"p": 7},
    "no-listen": {"p": {"upstream": "", "enabled": True}},
    "listen-number": {"p": {**SHOWN, "listen": 7}},
    "enabled-text": {"p": {**SHOWN, "enabled": "no"}},
    "toxics-number": {"p": {**SHOWN, "toxics": 7}},
    "toxics-text": {"p": {**SHOWN, "toxics": ["t"]}},
    "toxic-unnamed": {"p": {**SHOWN, "toxics": [{}]}},
    "toxic-named-7": {"p": {**SHOWN, "toxics": [{"name": 7}]}},
    "no-upstream": {"p": {"listen": "127.0.0.1:1", "enabled": True}},
    "upstream-null": {"p": {**SHOWN, "upstream": None}},
}


@attack("answers", PROXIES)
def proxies_are_proxies_and_nothing_is_called_gone(_place: Place, proxies: Any) -> None:
    from gameday.spec.undos import from_json

    one = proxies["p"] if isinstance(proxies, dict) else proxies

    async def look(url: str) -> None:
        try:
            await Toxiproxy(url, WITHIN_S).proxies()
        except GamedayError as error:
            assert error.exit_code == 4
        else:
            raise AssertionError("it was taken for a list of proxies")
        record = from_json({"kind": "toxic", "url": url, "proxy": "p", "name": "gameday-r-1"})
        try:
            gone = await Drivers().read_back(record)
        except GamedayError:
            gone = False
        assert not gone

    scripts = {"/proxies": says(json.dumps(proxies)), "/proxies/p": says(json.dumps(one))}
    with Server({**scripts, "": says("{}")}) as server:
        within(lambda: look(server.url))


METRICS: dict[str, Script] = {
    **NO_ANSWER,
    "no-format": says("{" * 9_999),
    "not-utf8": says(b'a{b="\xff"} 1\n'),
    "a-long-line": says(b"a" * 5_000_000 + b" 1\n"),
    "many-series": says("".join(f'a{{b="{n}"}} 1\n' for n in range(30_000))),
    "a-number-of-digits": says("a " + "9" * 100_000 + "\n"),
}


@attack("answers", METRICS)
def a_target_is_down_or_up_and_never_waited_for(_place: Place, script: Script) -> None:
    async def scrape(url: str) -> None:
        scraper = Scraper([ScrapeTarget(name="t", url=f"{url}/metrics")], WITHIN_S, Tls())
        try:
            (told,) = await scraper.ask_all()
        finally:
            await scraper.close()
        assert told.up or len(told.problem) < 1_000

    with Server({"": script}) as server:
        within(lambda: scrape(server.url))


TRAFFIC: dict[str, tuple[Script, str]] = {
    "cut": (sends(LONG, b"{"), "body cut after status 200"),
    "reset": (resets(LONG, b"{"), "body cut after status 200"),
    "stalled": (stalls(LONG, b"{"), "body stalled after status 200"),
    "trickled": (trickles(LONG, b" " * 9_999, 0.02), "body stalled after status 200"),
    "too-large": (floods(CHUNKED, b"1000\r\n%s\r\n" % bytes(4096)), "answer too large after"),
    "tiny-chunks": (floods(CHUNKED, b"1\r\na\r\n" * 999), "answer too large after status 200"),
    "bad-chunk": (sends(CHUNKED + b"xyz\r\n"), "body broken after status 200"),
    "no-http": (sends(b"220 mail\r\n\r\n"), "garbage"),
    "endless-head": (floods(HEAD, b"A: b\r\n" * 99), "too-large"),
}


@attack("answers", TRAFFIC, slow=True)
def what_came_instead_of_an_answer_is_named(place: Place, case: tuple[Script, str]) -> None:
    script, words = case
    with Server({"": script}) as server:
        arguments = ("--url", server.url, "--rate", "5/s", "--duration", "1s", "--timeout", "1s")
        done = place.gameday("traffic", *arguments, within_s=50)
    done.is_no_bug()
    assert words in done.said, done.said


ALERT = {"labels": {"alertname": "A"}, "state": "firing", "activeAt": "2026-11-29T11:00:00Z"}
VECTOR: dict[str, Any] = {
    "resultType": "vector",
    "result": [{"metric": {"a": "b"}, "value": [1.5, "1"]}],
}
MANY_LABELS = {f"l{n}": "x" for n in range(300)}
LIES: dict[str, Any] = {
    "a-list": [],
    "a-number": 7,
    "null": None,
    "alerts-number": {"alerts": 7},
    "alerts-null": {"alerts": [None]},
    "alert-unnamed": {"alerts": [{**ALERT, "labels": {}}]},
    "alert-labels": {"alerts": [{**ALERT, "labels": {"alertname": 7}}]},
    "alert-state": {"alerts": [{**ALERT, "state": "burning"}]},
    "alert-instant": {"alerts": [{**ALERT, "activeAt": "yesterday"}]},
    "alert-year": {"alerts": [{**ALERT, "activeAt": "0001-01-01T00:00:00Z"}]},
    "alert-instant-number": {"alerts": [{**ALERT, "activeAt": 10**30}]},
    "many-alerts": {"alerts": [ALERT] * 30_000},
    "a-matrix": {"resultType": "matrix", "result": []},
    "a-string": {"resultType": "string", "result": [1, "x"]},
    "a-scalar": {"resultType": "scalar", "result": [1.5, "1"]},
    "an-instant-huge": {"resultType": "scalar", "result": [1e300, "1"]},
    "an-instant-text": {"resultType": "scalar", "result": ["now", "1"]},
    "a-value-text": {**VECTOR, "result": [{"metric": {}, "value": [1.5, "many"]}]},
    "a-value-number": {**VECTOR, "result": [{"metric": {}, "value": [1.5, 1]}]},
    "a-histogram": {**VECTOR, "result": [{"metric": {}, "histogram": [1.5, {}]}]},
    "twice": {**VECTOR, "result": VECTOR["result"] * 2},
    "many": {**VECTOR, "result": VECTOR["result"] * 30_000},
    "labels-numbers": {**VECTOR, "result": [{"metric": {"a": 1}, "value": [1.5, "1"]}]},
    "targets": {"activeTargets": [{"labels": {}, "scrapeInterval": "soon"}]},
    "many-labels": {**VECTOR, "result": [{"metric": MANY_LABELS, "value": [1.5, "1"]}]},
    "alert-labels-many": {"alerts": [{**ALERT, "labels": {"alertname": "A", **MANY_LABELS}}]},
    "brackets": {**VECTOR, "result": [[]] * 400_000},
    "groups": {"groups": [{"name": "g", "interval": "1s", "rules": []}]},
}


def lie(data: Any) -> Script:
    return sends(answer(json.dumps({"status": "success", "data": data}), 200, JSON_TYPE))


JSON_TYPE = "Content-Type: application/json"


async def measured(
    place: Place, name: Path, url: str, expressions: dict[str, str]
) -> samples.Evaluation:
    """One instant of a run that this Prometheus measures, written to the samples."""
    (place.folder / "history").mkdir()
    settings: dict[str, Any] = {
        "samples": name,
        "history_dir": place.folder / "history",
        "grid_start_ns": 0,
        "scrape_timeout_s": WITHIN_S,
        "prometheus": {"url": url},
        "expressions": expressions,
    }
    instants = Instants(CollectorSettings.model_validate(settings), SystemClock())
    try:
        return await instants.measure(SystemClock().now_ns())
    finally:
        await instants.close()


@attack("answers", {**WIRE, **{f"lie-{name}": lie(data) for name, data in LIES.items()}})
def a_prometheus_that_is_none_leaves_everything_unknown(place: Place, script: Script) -> None:
    """At an instant of a run, and in the look before it: with the reason, and in its time."""
    name = place.folder / "samples.jsonl"

    async def look(url: str) -> None:
        asked = {"objective:a": "a < 1", "guard:0": "sum(b) > 1"}
        line = plain(await measured(place, name, url, asked))
        assert line["readings"] == {"objective:a": None, "guard:0": None}
        assert line["alerts_problem"]
        assert set(line["problems"]) >= {"objective:a", "guard:0"}
        assert len(json.dumps(line)) < 5_000
        read_object(samples.Evaluation, line)
        system = system_at(url)
        found = await prometheus_checks.look(
            inputs_of(place.folder), system, Named(url=url), {}, SystemClock()
        )
        assert [each.status for each in found.findings] == ["fail"]
        assert len(found.findings[0].found) < 1_000
        assert found.findings[0].cure

    with Server({"": script}) as server:
        within(lambda: look(server.url))
    assert list(samples.read(name))


YEARS = {
    "first": "0001-01-01T00:00:00Z",
    "before-1970": "1969-12-31T23:59:59Z",
    "later": "2600-01-01T00:00:00Z",
    "last": "9999-12-31T23:59:59.999999999Z",
    "beyond": "9999-12-31T23:59:59-23:59",
}


@attack("answers", YEARS)
def alerts_of_another_age_leave_samples_that_can_be_read(place: Place, year: str) -> None:
    """All else is right, so the instant that no run has is what is told."""
    name = place.folder / "samples.jsonl"
    parts: dict[str, Any] = {
        "query": {"resultType": "scalar", "result": [time.time(), "1"]},
        "alerts": {"alerts": [{**ALERT, "activeAt": year}]},
        "rules": {"groups": []},
    }
    scripts = {
        f"/api/v1/{part}": says(json.dumps({"status": "success", "data": data}), 200, JSON_TYPE)
        for part, data in parts.items()
    }

    async def look(url: str) -> None:
        line = await measured(place, name, url, {})
        assert not line.alerts
        assert "activeAt" in (line.alerts_problem or ""), line
        read_object(samples.Evaluation, plain(line))

    with Server(scripts) as server:
        within(lambda: look(server.url))
    damaged = list[str]()
    assert list(samples.read(name, damaged.append))
    assert not damaged


PAGE: dict[str, Any] = {"boot": "a", "next": 1, "lost": False, "alerts": []}
NOTIFIED = {"status": "firing", "receiver": "r", "labels": {"alertname": "A"}}
PAGES: dict[str, Any] = {
    "a-list": [],
    "next-huge": {**PAGE, "next": 10**30},
    "next-negative": {**PAGE, "next": -1},
    "lost-text": {**PAGE, "lost": "no"},
    "boot-number": {**PAGE, "boot": 7},
    "alert-null": {**PAGE, "alerts": [None]},
    "age-negative": {**PAGE, "alerts": [{"age_ms": -1, "alert": NOTIFIED}]},
    "age-huge": {**PAGE, "alerts": [{"age_ms": 2**60, "alert": NOTIFIED}]},
    "state": {**PAGE, "alerts": [{"age_ms": 1, "alert": {**NOTIFIED, "status": "lit"}}]},
    "labels": {**PAGE, "alerts": [{"age_ms": 1, "alert": {**NOTIFIED, "labels": {"a": 1}}}]},
    "manager-state": [{"labels": {}, "status": {"state": "asleep"}}],
    "manager-labels": [{"labels": [], "status": {"state": "active"}}],
}


@attack("answers", {**WIRE, **{f"page-{k}": says(json.dumps(v)) for k, v in PAGES.items()}})
def routing_that_cannot_be_read_says_why(_place: Place, script: Script) -> None:
    """Neither a bridge nor an Alertmanager ends a run, keeps it waiting, or makes anything up."""

    async def exchange(url: str) -> None:
        bridge = RemoteBridge(url, "token", WITHIN_S, Tls(), SystemClock())
        routing = Routing(bridge, Alertmanager(url, {}, WITHIN_S, Tls()))
        try:
            told = await routing.exchange({labels("k6_vus"): 1.0})
        finally:
            await routing.close()
        assert told is not None
        assert told.notified == []
        assert told.suppressed == []
        assert 0 < len(told.problem or "") < 2_000

    with Server({"": script}) as server:
        within(lambda: exchange(server.url))
