"""What a system may answer, given to every reader of answers, and to judging and reporting."""

import asyncio
import io
import tempfile
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from gameday.core import json as core_json
from gameday.core.clock import NS, SystemClock
from gameday.core.json_list import LongList
from gameday.evidence.audit import audit_of
from gameday.evidence.read import read as read_evidence
from gameday.evidence.rows import Rows
from gameday.injection.drivers.request import Sender
from gameday.injection.toxiproxy_client import Toxiproxy
from gameday.judge.judge import judge
from gameday.plan.proxy_checks import left_behind
from gameday.report.postmortem import write_report
from gameday.run import audit
from gameday.run.audit_file import AuditReading
from gameday.spec.request import IssueRequest, Request
from gameday.spec.system import System
from gameday.spec.tls import Tls
from gameday.telemetry.collector.scrape import Scraper
from gameday.telemetry.collector.settings import ScrapeTarget
from gameday.telemetry.collector.text_format import Reader
from gameday.telemetry.sources.prometheus_api import Prometheus, PrometheusError
from gameday.traffic.worker.classify import Answers
from gameday.traffic.worker.http1 import Framing
from tests.attacks.server import Peer, Server
from tests.fuzz.mutate import as_http, as_json, spoilt, wrong
from tests.fuzz.running import Case
from tests.support.rundirs import RunDir

WITHIN_S = 0.5
AUDIT = {
    "code": "C",
    "stock": 5,
    "rows": [{"userId": 1, "issueId": "a"}, {"userId": 2, "issueId": "b"}],
    "views": {"redis": {"remaining": 3, "holders": [1, 2], "current": True}},
}
TOXIC = {"name": "t", "type": "latency", "stream": "downstream", "attributes": {"latency": 9}}
PROXY = {"name": "p", "listen": "127.0.0.1:1", "upstream": "a:1", "enabled": True}
WITH_TOXIC: dict[str, Any] = {**PROXY, "toxics": [TOXIC]}
METRICS = b"""# HELP a Help.
# TYPE a histogram
a_bucket{le="0.1",b="c"} 3
a_bucket{le="+Inf"} 4 1700000000000
a_sum 1.5e-3
a_count NaN
up 1
"""
ISSUE = {
    "post": "/issue",
    "capture": {"issue_id": "issue.id", "remaining": "left.0"},
    "outcomes": {
        "issued": {"status": 200, "json": {"code": "OK"}},
        "sold_out": {"status": [409, 410], "json": {"a.b": 1}},
    },
}
ISSUED = {"code": "OK", "issue": {"id": "0f8fad5b"}, "left": [7], "a": {"b": 1}}


def cases() -> Mapping[str, Case]:
    """Every reader of answers, by its name."""
    return {
        "json": Case(lambda draw: as_json(draw, wrong(draw, AUDIT)), core_json.parse),
        "listing": Case(_cut_up, _listing),
        "audit": Case(lambda draw: as_http(draw, as_json(draw, wrong(draw, AUDIT))), _audit),
        "request": Case(lambda draw: as_http(draw, draw.randbytes(draw.randrange(99))), _request),
        "toxiproxy": Case(_proxies, _toxiproxy),
        "prometheus": Case(_api, _prometheus),
        "metrics": Case(lambda draw: as_http(draw, _exposition(draw)), _metrics),
        "exposition": Case(lambda draw: _exposition(draw).decode("utf-8", "replace"), _read_text),
        "traffic": Case(lambda draw: as_http(draw, as_json(draw, wrong(draw, ISSUED))), _traffic),
        "run": Case(_run_dir, _judge),
    }


class _Serving:
    """A server of this process whose answer to anything is the bytes of the case."""

    def __init__(self) -> None:
        self.raw = b""
        self._server = Server({"": self._say}).__enter__()
        self.url = self._server.url

    def _say(self, peer: Peer) -> None:
        peer.send(self.raw)


@cache
def _serving() -> _Serving:
    return _Serving()


def _ask(raw: bytes, ask: Any) -> Any:
    served = _serving()
    served.raw = raw

    async def whole() -> Any:
        asked: Awaitable[Any] = ask(served.url)
        return await asked

    return asyncio.run(whole())


def _cut_up(draw: Random) -> tuple[bytes, int]:
    return as_json(draw, wrong(draw, AUDIT)), draw.randrange(1, 50)


def _listing(case: tuple[bytes, int]) -> None:
    raw, size = case
    rows = Rows()
    listed = LongList("rows", rows.take)
    for at in range(0, len(raw), size):
        listed.feed(raw[at : at + size])
    listed.end()
    assert rows == list(rows)


def _audit(raw: bytes) -> None:
    """An audit never raises; what is written can be read again, and says the same."""

    async def read(url: str) -> AuditReading:
        request = {"get": "/audit", "timeout": f"{WITHIN_S * 1000:g}ms"}
        fields = {"name": "x", "base_url": url, "requests": {"issue": ISSUE}, "audit": request}
        sender = Sender(url, {"coupon": "C", "run": "r"}, {})
        return await audit.read(System.model_validate(fields), sender, "C", None, SystemClock())

    found = _ask(raw, read)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit.json"
        found.write(path)
        again = audit_of(io.BytesIO(path.read_bytes()))
    assert again.problem == found.problem
    assert found.problem or found.rows == list(again.rows)


def _request(raw: bytes) -> None:
    request = Request.model_validate({"post": "/x", "timeout": f"{WITHIN_S * 1000:g}ms"})
    _ask(raw, lambda url: Sender(url, {}, {}).send(request))


def _proxies(draw: Random) -> bytes:
    return as_http(draw, as_json(draw, wrong(draw, draw.choice(({"p": WITH_TOXIC}, WITH_TOXIC)))))


def _toxiproxy(raw: bytes) -> None:
    async def look(url: str) -> None:
        server = Toxiproxy(url, WITHIN_S)
        one = await server.proxy("p")
        for proxy in (one, *(await server.proxies()).values()):
            if proxy is not None:
                assert proxy.toxic_names is not None
                left_behind(proxy)

    _ask(raw, look)


API: tuple[dict[str, Any], ...] = (
    {
        "resultType": "vector",
        "result": [
            {"metric": {"__name__": "a", "b": "c"}, "value": [1795422600.5, "1e3"]},
            {"metric": {"__name__": "a"}, "value": [1795422600.5, "NaN"]},
        ],
    },
    {"resultType": "scalar", "result": [1795422600.5, "1"]},
    {
        "alerts": [
            {
                "labels": {"alertname": "A", "severity": "page"},
                "annotations": {},
                "state": "firing",
                "activeAt": "2026-11-23T08:30:00.123456789Z",
                "value": "1e+00",
            }
        ]
    },
    {
        "groups": [
            {
                "name": "g",
                "interval": 1,
                "rules": [{"name": "A", "type": "alerting", "query": "a > 1", "duration": 2}],
            }
        ]
    },
    {"activeTargets": [{"labels": {"job": "a"}, "health": "up", "scrapeInterval": "1m0.5s"}]},
    {"version": "2.42.0"},
)


def _api(draw: Random) -> bytes:
    whole = {"status": "success", "data": draw.choice(API)}
    made: bytes = as_http(draw, as_json(draw, wrong(draw, whole)))
    return made.replace(b"\r\n", b"\r\nContent-Type: application/json\r\n", 1)


def _prometheus(raw: bytes) -> None:
    """Every question has an answer of its form, or raises what is ours."""

    async def look(url: str) -> None:
        client = Prometheus(url, {}, WITHIN_S, Tls())
        try:
            for ask in (
                lambda: client.value("a", 1_795_422_600 * NS),
                lambda: client.clock_ahead_ns(SystemClock()),
                *(client.alerts, client.groups, client.targets, client.version),
            ):
                with suppress(PrometheusError):
                    await ask()
        finally:
            await client.close()

    _ask(raw, look)


def _exposition(draw: Random) -> bytes:
    raw = METRICS * draw.choice((1, 1, 1, 50))
    for _ in range(draw.randrange(3)):
        raw = spoilt(draw, raw)
    return raw


def _metrics(raw: bytes) -> None:
    async def scrape(url: str) -> None:
        scraper = Scraper([ScrapeTarget(name="t", url=url)], WITHIN_S, Tls())
        try:
            await scraper.ask_all()
        finally:
            await scraper.close()

    _ask(raw, scrape)


def _read_text(text: str) -> None:
    Reader({"instance": "t"}).read(text)


def _traffic(raw: bytes) -> None:
    framing = Framing()
    if framing.feed(raw) and framing.whole:
        Answers(IssueRequest.model_validate(ISSUE)).read(framing.status, framing.body)


Run = tuple[dict[str, Any], dict[str, bytes]]


def _run_dir(draw: Random) -> Run:
    """The parts of a run that are made wrong, and files of it that are spoilt as bytes."""
    run = RunDir()
    parts: dict[str, Any] = {}
    match draw.randrange(4):
        case 0:
            rows = [{"userId": user, "issueId": id_} for user, id_ in run.stored_rows()[:5]]
            views = AUDIT["views"]
            answer = {"stock": 250, "rows": rows, "views": views}
            told: dict[str, Any] = {
                "answer": answer,
                "answer_rows_equal": draw.choice((True, False, None)),
            }
            told |= {"rows": run.stored_rows()[: draw.choice((5, 250))], "views": views}
            parts["audit"] = wrong(draw, told)
        case 1:
            parts["evaluations"] = wrong(draw, run.evaluations)
        case 2:
            events: list[Any] = list(run.events)
            number = draw.randrange(len(run.events))
            at_s, name, data = run.events[number]
            said = wrong(draw, data)
            events[number] = (at_s, name, said if isinstance(said, dict) else {})
            parts["events"] = events
        case _:
            name = draw.choice(("audit.json", "samples.jsonl", "journal.jsonl"))
            return {}, {name: draw.randbytes(8)}
    return parts, {}


def _judge(case: Run) -> None:
    """Whatever lies in a run directory, it is judged and reported."""
    parts, files = case
    told, evaluations = parts.get("audit", {}), parts.get("evaluations", [])
    if not isinstance(told, dict) or not isinstance(evaluations, list):
        return
    run = RunDir()
    for name, value in parts.items():
        setattr(run, name, value)
    with tempfile.TemporaryDirectory() as folder:
        path = run.write(Path(folder) / "run")
        for name, raw in files.items():
            whole = (path / name).read_bytes()
            (path / name).write_bytes(spoilt(Random(raw), whole))
        (path / "result.json").write_bytes(judge(read_evidence(path)).to_bytes())
        write_report(path)
