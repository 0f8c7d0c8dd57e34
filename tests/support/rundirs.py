"""Run directories made of literal data, for the tests of everything that reads one.

`RunDir()` is an honest half minute: 10 requests a second, a fault on redis from 10 s to 16 s
that breaches the one objective from 11 s, an alert at 13 s, a step done at 15 s, all well again
from 18 s, the stock of 250 sold out at 25 s. Change what a test is about, then `write`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from gameday.core.clock import NS
from gameday.evidence.journal import Journal
from gameday.evidence.model import Evidence
from gameday.evidence.read import read as read_evidence
from gameday.judge import checks
from gameday.judge.verdict import NotApplicable, Verdict
from gameday.traffic.history import RECORD, HistoryHeader, HistoryWriter, Outcome, Reason, stored_id
from tests.support.events import event_of

T0_NS = 1_000 * NS
WALL_NS = 1_795_422_600 * NS  # 2026-11-23T08:30:00Z
RUN = "20261123T083000Z-redis-slow-k3f9"

EXPERIMENT: dict[str, Any] = {
    "name": "redis-slow",
    "title": "Redis answers late",
    "hypothesis": "Issuing slows down for seconds.",
    "seed": 7,
    "campaign": {"coupon": "COUPON", "stock": 250, "users": 1_000_000},
    "traffic": {"drop": {"executor": "constant-arrival-rate", "rate": "10/s", "duration": "30s"}},
    "objectives": [
        {
            "name": "fast",
            "expr": "histogram_quantile(0.95, sum by (le) "
            "(rate(k6_http_req_duration_seconds_bucket[5s]))) < 0.2",
        }
    ],
    "method": [
        {
            "fault": "network.latency",
            "id": "network-latency-1",
            "target": "redis",
            "latency": "300ms",
            "at": "10s",
            "duration": "6s",
        }
    ],
    "expect": {
        "thresholds": {"http_req_failed": ["rate<0.02"]},
        "alerts": [{"alert": "RedisSlow", "fires_within": "5s", "resolves_within": "8s"}],
        "recovers_within": "10s",
    },
    "playbook": "redis-slow",
}
FAULT = "network-latency-1"
SYSTEM: dict[str, Any] = {
    "name": "coupon-issuance",
    "base_url": "http://127.0.0.1:8080",
    "requests": {
        "issue": {
            "post": "/api/v1/coupons/issue",
            "json": {"userId": "{user}", "couponCode": "{coupon}"},
            "timeout": "10s",
            "capture": {"issue_id": "issueId"},
            "outcomes": {
                "issued": {"status": 200},
                "duplicate": {"status": 409, "json": {"code": "DUPLICATE"}},
                "sold_out": {"status": 409, "json": {"code": "SOLD_OUT"}},
                "refused": {"status": [429, 503]},
            },
        }
    },
    "audit": {"get": "/audit/{coupon}"},
    "proxies": {"redis": "redis"},
    "rules": ["alerts.yml"],
    "actions": {
        "use-postgres": {"post": "/admin/strategy", "json": {"strategy": "postgres"}},
        "use-redis": {"post": "/admin/strategy", "json": {"strategy": "redis"}},
    },
}
PLAYBOOK: dict[str, Any] = {
    "head": {"name": "redis-slow", "alerts": ["RedisSlow"], "severity": "page"},
    "steps": [
        {
            "number": 1,
            "text": "Take Redis out of the path.",
            "block": {"do": "use-postgres", "after": "up == 1", "undo": "use-redis"},
        },
        {"number": 2, "text": "Tell the shop.", "block": {}},
    ],
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One start of a scenario, and what became of it; times in seconds from t = 0."""

    k: int
    user: int
    outcome: Outcome
    sent_s: float
    took_s: float = 0.01
    issue_id: str = ""
    reason: Reason = Reason.NONE
    attempts: int = 1


def issue(k: int, user: int, sent_s: float, took_s: float = 0.01) -> Answer:
    """An acknowledged issue, with an id of its own."""
    return Answer(k, user, Outcome.ISSUED, sent_s, took_s, f"i{user}")


def drop(stock: int = 250, starts: int = 300, rate_per_s: float = 10.0) -> list[Answer]:
    """A sale that ends as it should: the first `stock` users get one, the others are told so."""
    times = [k / rate_per_s for k in range(starts)]
    issued = [issue(k, k, times[k]) for k in range(min(stock, starts))]
    late = range(len(issued), starts)
    return issued + [Answer(k, k, Outcome.SOLD_OUT, times[k]) for k in late]


def evaluation(
    at_s: float, *, fast: bool | None = True, firing: Iterable[str] = (), active_s: float = 0.0
) -> dict[str, Any]:
    """One evaluation line; the named alerts fire."""
    alerts = [
        {
            "labels": {"alertname": name, "severity": "page"},
            "state": "firing",
            "active_at": T0_NS + round(active_s * NS),
        }
        for name in firing
    ]
    figure = {True: 0.01, False: 0.35, None: None}[fast]
    return {
        "t": T0_NS + round(at_s * NS),
        "readings": {"objective:fast": fast},
        "figures": {"objective:fast": figure},
        "alerts": alerts,
    }


def redis_slow_evaluations() -> list[dict[str, Any]]:
    """Breached from 11 s to 17 s; the alert is active from 11 s, fires from 13 s to 19 s."""
    return [
        evaluation(
            at,
            fast=not 11 <= at < 18,
            firing=["RedisSlow"] if 13 <= at < 20 else (),
            active_s=11.0,
        )
        for at in range(36)
    ]


def redis_slow_events() -> list[tuple[float, str, dict[str, Any]]]:
    """The journal of an uneventful redis-slow, with t in seconds from t = 0."""
    step = {"step": 1, "text": "", "do": "use-postgres", "by": "bot", "undoing": False}
    undo = {"step": 1, "text": "", "do": "use-redis", "by": "bot", "undoing": True}
    done = {"step": 1, "status": "done", "verified": True, "why": "", "refuses": False}
    person = {"step": 2, "text": "", "do": None, "by": "bot", "undoing": False}
    asked = {"step": 2, "status": "needs_person", "verified": None, "why": "", "refuses": False}
    return [
        (-9.0, "phase", {"phase": "stack"}),
        (-1.0, "phase", {"phase": "traffic", "t0_ns": T0_NS}),
        (
            10.0,
            "fault.injecting",
            {
                "id": FAULT,
                "fault": "network.latency",
                "target": "redis",
                "changes": [],
                "undo": [],
            },
        ),
        (10.004, "fault.injected", {"id": FAULT}),
        (14.0, "responder.started", {"alert": "RedisSlow", "by": "bot", "delay_s": 1.0}),
        (14.1, "step.started", step),
        (15.0, "step.done", {**done, "took_s": 0.9, "undoing": False}),
        (15.1, "step.started", person),
        (15.2, "step.done", {**asked, "took_s": 0.1, "undoing": False}),
        (16.0, "fault.removing", {"id": FAULT}),
        (16.005, "fault.removed", {"id": FAULT, "gone": True}),
        (16.1, "fault.dosed", {"id": FAULT, "injected": "yes", "dose": {"ms": 301.0}, "why": ""}),
        (16.5, "fault.proven", {"id": FAULT, "removed": "yes", "why": ""}),
        (16.6, "phase", {"phase": "recovering"}),
        (16.7, "step.started", undo),
        (17.0, "step.done", {**done, "took_s": 0.3, "undoing": True}),
        (30.1, "phase", {"phase": "ending", "aborted": False}),
        (30.2, "phase", {"phase": "close", "at_most_s": 15.0}),
        (32.0, "audit.read", {"rows": 250, "cut": "consistent", "problem": ""}),
    ]


@dataclass(slots=True)
class RunDir:
    """What a run directory will hold; see the module's words for the default."""

    stock: int = 250
    answers: list[Answer] = field(default_factory=drop)
    dispatched: int | None = None
    rows: list[tuple[int, str]] | None = None
    views: dict[str, Any] = field(default_factory=dict)
    audit: dict[str, Any] = field(default_factory=dict)
    semantics: dict[str, str] = field(default_factory=dict)
    experiment: dict[str, Any] = field(default_factory=lambda: dict(EXPERIMENT))
    system: dict[str, Any] = field(default_factory=lambda: dict(SYSTEM))
    playbook: dict[str, Any] | None = field(default_factory=lambda: dict(PLAYBOOK))
    effective: dict[str, Any] = field(default_factory=dict)
    events: list[tuple[float, str, dict[str, Any]]] = field(default_factory=redis_slow_events)
    evaluations: list[dict[str, Any]] = field(default_factory=redis_slow_evaluations)
    ended: str | None = "completed"
    ended_why: str = ""
    sealed: dict[str, str] = field(default_factory=dict)
    has_audit: bool = True

    def without_faults(self) -> "RunDir":
        """The same traffic, and nothing that goes wrong."""
        self.experiment = {**self.experiment, "method": [], "playbook": None, "expect": {}}
        self.playbook = None
        told = ("fault", "step", "responder")
        self.events = [e for e in self.events if not e[1].startswith(told)]
        self.evaluations = [evaluation(at) for at in range(36)]
        return self

    def event(self, event: str, **changes: Any) -> None:
        """Change the fields of every such event."""
        self.events = [
            (at, name, {**data, **changes} if name == event else data)
            for at, name, data in self.events
        ]

    def expect(self, **changes: Any) -> None:
        """Change what the experiment expects."""
        self.experiment = {**self.experiment, "expect": {**self.experiment["expect"], **changes}}

    def stored_rows(self) -> list[tuple[int, str]]:
        """The rows of the audit: given, or one for every acknowledged issue."""
        if self.rows is not None:
            return self.rows
        return [(a.user, a.issue_id) for a in self.answers if a.outcome is Outcome.ISSUED]

    def write(self, path: Path) -> Path:
        """Make the directory; its path."""
        for name in ("inputs", "history", "logs"):
            (path / name).mkdir(parents=True)
        _write_json(path / "inputs" / "effective.json", self._effective())
        if self.has_audit:
            _write_json(path / "audit.json", self._audit())
        self.write_journal(path / "journal.jsonl")
        self.write_history(path / "history" / "drop-0.bin")
        lines = "".join(json.dumps(line) + "\n" for line in self.evaluations)
        (path / "samples.jsonl").write_text(lines)
        return path

    def _effective(self) -> dict[str, Any]:
        system = {**self.system, "semantics": self.semantics}
        return {
            "schema": 1,
            "run": RUN,
            "stack": "embedded",
            "seed": 7,
            "coupon": "COUPON-k3f9",
            "stock": self.stock,
            "short": False,
            "experiment": self.experiment,
            "system": system,
            "playbook": self.playbook,
            "traffic_end_s": 30.0,
            "no_responder": False,
            "planned": {"drop": 300},
            **self.effective,
        }

    def _audit(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "read_at_ns": T0_NS + 32 * NS,
            "campaign": "COUPON-k3f9",
            "stock": self.stock,
            "rows": [list(row) for row in self.stored_rows()],
            "rows_from": "postgres",
            "cut": "consistent",
            "answer": None,
            "answer_rows_equal": None,
            "views": self.views,
            "problem": "",
            **self.audit,
        }

    def write_journal(self, path: Path) -> None:
        """The events, with the seal in the last where there is one."""
        clock = SetClock()
        journal = Journal(path, clock, "host")
        start: dict[str, Any] = {"run": RUN, "experiment": "redis-slow", "stack": "embedded"}
        start |= {"seed": 7, "wall_ns": WALL_NS, "inputs": {}, "gameday": "0.1"}
        events = [(-10.0, "run.started", start), *self.events]
        if self.ended is not None:
            seal = {"evidence": self.sealed} if self.sealed else {}
            events.append((33.0, "run.ended", {"ended": self.ended, "why": self.ended_why, **seal}))
        for at_s, event, data in events:
            clock.at_ns = T0_NS + round(at_s * NS)
            journal.write(event_of(event, **data))
        journal.close()

    def write_history(self, path: Path) -> None:
        """Write the answers as a worker does."""
        header = {"scenario": "drop", "worker": 0, "workers": 1, "seed": 7, "run": RUN}
        header |= {"users": 1_000_000, "coupon": "COUPON-k3f9", "t0_ns": T0_NS}
        header |= {"spec": self.experiment["traffic"]["drop"], "clock": "host", "pid": 1}
        writer = HistoryWriter(path, HistoryHeader.from_json(header))
        dispatched = self.dispatched
        if dispatched is None:
            dispatched = max((answer.k + 1 for answer in self.answers), default=0)
        writer.advance(dispatched)
        writer.append(records(self.answers).tobytes())
        writer.close()


@dataclass(slots=True)
class SetClock:
    """A clock that stands where it is put."""

    at_ns: int = 0

    def now_ns(self) -> int:
        return self.at_ns

    async def sleep(self, seconds: float) -> None:
        self.at_ns += round(seconds * NS)


STATUS = {
    Outcome.ISSUED: 200,
    Outcome.DUPLICATE: 409,
    Outcome.SOLD_OUT: 409,
    Outcome.REFUSED: 503,
    Outcome.ACCEPTED: 202,
}


def records(answers: Iterable[Answer]) -> "np.ndarray[Any, np.dtype[np.void]]":
    """The answers as a history file holds them."""
    rows = list(answers)
    table = np.zeros(len(rows), dtype=RECORD)
    for record, answer in zip(table, rows, strict=True):
        sent_ns = T0_NS + round(answer.sent_s * NS)
        ended_ns = sent_ns + round(answer.took_s * NS)
        never_sent = answer.outcome is Outcome.DROPPED or answer.reason is Reason.CONNECT_REFUSED
        record["k"], record["user"] = answer.k, answer.user
        record["outcome"], record["reason"] = answer.outcome, answer.reason
        record["status"] = STATUS.get(answer.outcome, 0)
        record["intended_ns"], record["ended_ns"] = sent_ns, ended_ns
        record["sent_ns"] = 0 if never_sent else sent_ns
        record["first_byte_ns"] = ended_ns if answer.outcome in STATUS else 0
        record["remaining"], record["attempts"] = -1, answer.attempts
        record["issue_id"] = stored_id(answer.issue_id)
    return table


def read(run: RunDir) -> Evidence:
    """The run as evidence."""
    with TemporaryDirectory() as folder:
        return read_evidence(run.write(Path(folder) / RUN))


def said(run: RunDir, name: str) -> Verdict | NotApplicable:
    """What one check says about the run."""
    return checks.run(name, checks.CHECKS[name], read(run))


def verdict(run: RunDir, name: str) -> Verdict:
    """What one check says, where it applies."""
    answer = said(run, name)
    assert isinstance(answer, Verdict), answer
    return answer


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n")
