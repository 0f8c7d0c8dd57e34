"""Masking never changes what a machine reads back: every secret, every word of a run, each field.

A secret may be a word of the run: the name of a proxy, the coupon, `gameday` itself. Whatever it
is, records are written, read back, and are the same; only texts for people are masked.
"""

import ast
import json
from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from gameday.core.clock import SystemClock
from gameday.core.messages import Message
from gameday.core.secrets.redaction import MASK, Hidden, forms, hidden_in, telling
from gameday.evidence import journal
from gameday.evidence.event_fields import described
from gameday.evidence.events import (
    EVENTS,
    MASKED,
    FaultDosed,
    Observation,
    StepDone,
    fields_of,
    from_json,
    masked,
)
from gameday.evidence.journal import Journal
from gameday.evidence.rows import Rows
from gameday.injection.drivers import Drivers
from gameday.injection.heal import left_behind, take_back
from gameday.injection.undo_policy import UndoPolicy
from gameday.plan.audit_answer import AuditAnswer
from gameday.plan.validate import validate
from gameday.run.audit_file import VIEW_KEYS, AuditReading, mask
from gameday.spec import undos
from gameday.spec.inputs import load_inputs
from gameday.spec.system import System
from gameday.telemetry.collector.samples_writer import SamplesWriter
from gameday.telemetry.promql.labels import labels
from gameday.telemetry.samples import AlertLine, Evaluation, LiveEvaluation, Scrape
from gameday.telemetry.samples import read as read_samples
from gameday.traffic.metrics import Moment
from tests.support.events import event_of

ROOT = Path(__file__).parents[2]
RUN = "20261128T210000Z-redis-slow-k3f9"
WORDS = [
    "redis",
    "postgres",
    "toxiproxy",
    "service",
    "gameday",
    "toxic",
    "proxy",
    "traffic",
    "process",
    "folder",
    "request",
    "pg_catalog",
    "redis-slow",
    "network.latency",
    "network.latency-1",
    "slow-lock-1",
    "COUPON2025",
    "drop",
    "fast",
    "latency",
    "timeout",
    "downstream",
    "127.0.0.1",
    "8474",
    "http://127.0.0.1:8474",
    "k3f9",
    "20261128T210000Z",
    "injecting",
    "fault",
    "removed",
    "true",
    "null",
    "completed",
    "operator",
    "embedded",
    "issuances",
    "shop.sold_coupon",
    "use-redis",
    "AUDIT_REDIS",
    "1000",
    "holders",
    "remaining",
    "rows",
    "RedisSlow",
    "stock:COUPON2025",
    "cache",
    "4711",
    "SIGTERM",
    "enabled",
    "maxmemory",
]
ALL_WORDS = " ".join(WORDS)
SECRETS = [
    *WORDS,
    RUN,
    f"gameday-{RUN}-1",
    "postgresql://postgres:postgres@127.0.0.1:5432/postgres",
    "redis://:redis@127.0.0.1:6379/0",
    "Bearer COUPON2025",
    "hunter2-that-is-no-word",
]
TOXIC = {
    "kind": "toxic",
    "url": "http://127.0.0.1:8474",
    "proxy": "redis",
    "ours": f"gameday-{RUN}-",
    "part": "/tmp/gameday-0-4711/toxiproxy.json",
    "instance": {"pid": 4711, "start_time": "1000@4711-boot", "seen_from": "cache pid:[4711]"},
    "names": ["cache", "postgres", "redis"],
    "was": {"redis": {"listen": "127.0.0.1:1", "upstream": "redis:6379", "toxics": []}},
    "name": f"gameday-{RUN}-1",
}
PROJECT = {
    "engine": "unix:///tmp/gameday-0-4711/docker.sock",
    "engine_id": "4711",
    "name": "gameday-redis",
    "token": "drop",
}
UNDOS: list[dict[str, Any]] = [
    TOXIC,
    {**TOXIC, "part": None, "instance": None, "project": PROJECT},
    {"kind": "project", **PROJECT},
    {
        "kind": "redis",
        "do": "block",
        "name": f"gameday-{RUN}-1",
        "url": {"env": "AUDIT_REDIS"},
        "lasts": True,
        "project": PROJECT,
    },
    {**TOXIC, "kind": "proxy", "enabled": True},
    {"kind": "proxy", "url": "http://127.0.0.1:8474", "proxy": "cache", "whole": TOXIC["was"]},
    {"kind": "sql", "do": "index", "dsn": {"env": "AUDIT_POSTGRES"}, "index": "shop.sold_coupon"},
    {"kind": "redis", "do": "expire", "url": {"file": "/run/redis"}, "keys": {"stock:drop": -1}},
    {"kind": "traffic", "scenario": "drop"},
    {
        "kind": "process",
        "pid": 4711,
        "start_time": "1000@b",
        "name": "redis",
        "signal": "SIGTERM",
        "seen_from": "cache pid:[4711]",
    },
    {"kind": "folder", "path": "/tmp/gameday-0-4711", "seen_from": "cache pid:[4711]"},
    {"kind": "service", "do": "kill", "part": "/tmp/gameday-0-4711/redis.json", "name": "redis"},
    {
        "kind": "request",
        "action": "use-redis",
        "base_url": "http://127.0.0.1:8474",
        "request": {"post": "/admin/redis", "headers": {"Authorization": {"env": "AUDIT_REDIS"}}},
        "values": {"coupon": "COUPON2025", "run": RUN, "stock": 1000},
    },
]
UNDOS.append({**UNDOS[-1], "project": PROJECT})
P = Observation("P", True, 0.3, 0.31, "redis", 3, "why")  # noqa: FBT003


def words_of(kind: str) -> dict[str, Any]:
    """A value for each field that a machine reads, of the kind that it must be: all words in it."""
    special: dict[str, Any] = {
        "undo": UNDOS,
        "changes": UNDOS,
        "controller": next(each for each in UNDOS if each["kind"] == "process"),
        "inputs": {word: word for word in WORDS},
        "addresses": {"toxiproxy": "http://127.0.0.1:8474", "metrics": WORDS},
        "evidence": {"history/drop-0.bin": "1000"},
        "binaries": {"redis": "/usr/bin/redis-server"},
        "masked": MASKED,
        "left": WORDS,
        **dict.fromkeys(("allowed", "well", "waiting"), WORDS),
        "injected": "yes" if kind == "fault.dosed" else ALL_WORDS,
        "removed": "unknown",
        "gone": None,
        "verified": True,
        "readings": dict.fromkeys(WORDS, None),
        **dict.fromkeys(("undoing", "aborted", "ok", "shown", "refuses", "back"), False),
    }
    if kind in ("step.started", "action.started", "autoscaler.scaling"):
        special["undo"] = UNDOS[-1]
    if kind == "order.given":
        special["undo"] = True
    if kind == "fault.escalated":
        special["step"] = ALL_WORDS
    typed = [each for each in fields_of(kind) if each.name not in texts_of(kind)]
    kinds = (ALL_WORDS, 1000, WORDS, {word: word for word in WORDS})
    return {
        each.name: special.get(each.name, next(filter(each.form.fits, kinds), 1000))
        for each in typed
    }


def texts_of(kind: str) -> list[str]:
    """The fields that nothing but people read."""
    return [each.name for each in fields_of(kind) if {"text", "figures"} & each.marks]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_record_reads_back_as_it_was_whatever_the_secret(tmp_path: Path, secret: str) -> None:
    """Every event with every typed field, each field holding every word."""
    book = Journal(tmp_path / "journal.jsonl", SystemClock(), "m1")
    book.hide = Hidden([secret])
    for kind in EVENTS:
        texts: dict[str, Any] = dict.fromkeys(texts_of(kind), f"it said {secret}!")
        for each in fields_of(kind):
            if each.name in texts and each.form.fits([texts[each.name]]):
                texts[each.name] = [texts[each.name]]
        book.write(event_of(kind, **words_of(kind), **{**texts, "dose": None}))
    book.close()
    read = journal.read(book.path)
    assert read.damage == ""
    assert [record.event.kind for record in read.records] == list(EVENTS)
    for record in read.records:
        typed = words_of(record.event.kind)
        meant = from_json(record.event.kind, typed)
        assert all(getattr(record.event, key) == getattr(meant, key) for key in typed)
        for field in texts_of(record.event.kind):
            if field != "dose":
                assert secret not in str(record.data[field])
                assert MASK in str(record.data[field])


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("undo", UNDOS, ids=[f"{n}-{undo['kind']}" for n, undo in enumerate(UNDOS)])
def test_an_undo_is_the_same_for_whoever_finds_it(
    tmp_path: Path, secret: str, undo: dict[str, Any]
) -> None:
    book = Journal(tmp_path / "journal.jsonl", SystemClock(), "m1")
    book.hide = Hidden([secret])
    book.write(event_of("run.started", run=RUN, masked=MASKED))
    book.write(
        event_of("fault.injecting", id="slow-lock-1", fault="lock", target="redis", undo=[undo])
    )
    book.close()
    (left,) = left_behind(journal.read(book.path).records)
    assert left.name == "slow-lock-1"
    assert left.undo == undos.from_json(undo)
    assert not left.masked


def test_the_reasons_beside_a_dose_are_masked_and_its_figures_are_not() -> None:
    seen = Observation("T", None, 0.5, None, "redis", 1000, "the answer was redis")
    dose = {"witnesses": [P.as_json(), seen.as_json()]}
    written = masked(FaultDosed("redis", "yes", dose, ""), Hidden(["redis", "witness"]))
    assert written["id"] == "redis"
    p, t = written["dose"]["witnesses"]
    assert p == P.as_json()
    assert t == {**json.loads(json.dumps(seen.as_json())), "why": f"the answer was {MASK}"}


def test_a_field_that_nobody_has_named_is_masked() -> None:
    hide = Hidden(["hunter2"])
    assert masked(event_of("phase", other=["a hunter2"]), hide) == {"other": [f"a {MASK}"]}
    assert masked(event_of("no.such.event", id="hunter2"), hide) == {"id": MASK}


def test_every_text_of_an_event_is_for_machines_or_for_people() -> None:
    """Events are made of these classes alone, and mypy knows their fields."""

    @dataclass
    class Undecided:
        note: str

    (note,) = fields(Undecided)
    with pytest.raises(TypeError, match="note: say whether it is a Word or a Text"):
        described(note)
    assert all(fields_of(kind) for kind in EVENTS)
    assert {field.name for field in fields_of("fault.probed")} >= set(asdict(P))


def test_every_event_is_written_somewhere_and_no_other_is() -> None:
    trees = [ast.parse(path.read_text()) for path in sorted((ROOT / "gameday").rglob("*.py"))]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    made = Counter(ast.unparse(call.func).removeprefix("events.") for call in calls)
    assert [cls.__name__ for cls in EVENTS.values() if not made[cls.__name__]] == []
    assert made["UnknownEvent"] == 1, "only the reader may make one"


def test_a_user_name_is_no_secret_and_a_password_is() -> None:
    nobody = "postgresql://postgres@db:5432/postgres"
    assert next(forms(nobody)) == nobody
    assert "postgres" not in set(forms(nobody))
    assert telling({"PLAIN": nobody}) == []
    assert telling({"PLAIN": "postgresql://postgres:pass1@db"}) == [
        "postgresql://postgres:pass1@db"
    ]
    assert Hidden([nobody])("user postgres of database postgres") == (
        "user postgres of database postgres"
    )


def test_keys_that_are_masked_alike_stay_apart() -> None:
    hide = Hidden(["redis", "postgres"])
    found = hidden_in({"redis": 1, "postgres": 2, "other": 3}, hide)
    assert found == {MASK: 1, f"{MASK}-2": 2, "other": 3}


RULE = 'up{dependency="redis"} > 1000'


def test_samples_keep_what_is_read_back_and_mask_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    secrets = ["redis", "1000.0", "firing", "drop", "hunter2", "objective"]
    writer = SamplesWriter(path, Hidden(secrets), Hidden(secrets, RULE))
    own = labels("k6_http_reqs_total", scenario="drop", outcome="issued")
    theirs = labels("dependency_seconds_bucket", dependency="redis", le="1000.0", token="hunter2")
    alert = {"alertname": "RedisSlow", "dependency": "redis", "token": "hunter2"}
    evaluation = LiveEvaluation(
        t_ns=1,
        readings={"objective:fast": True},
        figures={"objective:fast": 0.1},
        alerts=[AlertLine(alert, "firing", 1)],
        traffic=Moment(by_outcome={"issued": 1}, rate_per_s=1.0),
        problems={"objective:fast": "it said hunter2"},
        up={"service-0": True},
    )
    writer.write({theirs: 1.0, own: 2.0}, evaluation, [own])
    writer.close()
    assert "hunter2" not in path.read_text()
    scrape, read = read_samples(path)
    assert isinstance(scrape, Scrape)
    assert isinstance(read, Evaluation)
    assert [dict(labels) for labels, _ in scrape.values] == [
        {**dict(theirs), "token": MASK},
        dict(own),
    ]
    assert read.readings == {"objective:fast": True}
    (line,) = read.alerts
    assert (line.name, line.state) == ("RedisSlow", "firing")
    assert line.labels["dependency"] == "redis"
    assert json.loads(path.read_text().splitlines()[-1])["problems"] == {
        "objective:fast": f"it said {MASK}"
    }


SYSTEM = {
    "name": "s",
    "base_url": "http://127.0.0.1:1",
    "audit": {"get": "/audit", "headers": {"X": {"env": "GD_WORD"}}},
    "requests": {"issue": {"post": "/issue", "outcomes": {"issued": {"status": 200}}}},
    "proxies": {"cache": "cache-proxy"},
}


@pytest.mark.parametrize(
    "secret", ["redis", "cache", "1001", "holders", "remaining", "rows", "u-1"]
)
def test_an_audit_counts_the_same_whatever_the_secret(secret: str) -> None:
    views = {
        "redis": {"remaining": "1001", "holders": ["1001", 7], "current": True, "note": "u-1001"},
        "cache": {"remaining": 0, "holders": [], "current": None, "note": "hunter2"},
    }
    rows = Rows([(1001, "u-1001")])
    answer = AuditAnswer(rows, 1001, {"stock": 1001, "views": views})
    found = AuditReading("COUPON", 1001, views=dict(views), answer=answer)
    mask(found, [secret, "hunter2"], System.model_validate(SYSTEM), f"{secret}: hunter2")
    assert found.answer is not None
    assert found.answer.rows == rows
    for shown in (found.views, found.answer.beside["views"]):
        assert list(shown) == ["redis", "cache"]
        for store, view in shown.items():
            assert {k: view[k] for k in VIEW_KEYS} == {k: views[store][k] for k in VIEW_KEYS}
    assert "hunter2" not in f"{found.problem} {found.views} {found.answer}"


def test_stores_that_a_hostile_answer_names_after_secrets_stay_apart() -> None:
    views: dict[str, Any] = {"hunter2": {"remaining": 1}, "hunter3": {"remaining": 2}}
    answer = AuditAnswer(Rows(), 1, {"stock": 1, "views": views})
    found = AuditReading("COUPON", 1, views=views, answer=answer)
    mask(found, ["hunter2", "hunter3"], System.model_validate(SYSTEM), "")
    assert found.views == {MASK: {"remaining": 1}, f"{MASK}-2": {"remaining": 2}}


async def test_a_masked_record_of_an_older_journal_is_never_called_gone() -> None:
    """As they were written: `"proxy": "***"`, and ids that lost a word."""
    for undo in UNDOS:
        old = hidden_in(undo, Hidden(["redis", "gameday", "COUPON2025", "drop", "shop.sold"]))
        if MASK not in json.dumps(old):
            continue
        records = [
            journal.RecordOf(0, 0, from_json("run.started", {"run": RUN})),
            journal.RecordOf(1, 1, from_json("fault.injecting", {"id": "***-1", "undo": [old]})),
        ]
        (left,) = left_behind(records)
        assert left.masked
        healed = await take_back(left, {}, UndoPolicy(), Drivers())
        assert healed.gone is None
        assert not healed.settled
        assert MASK in healed.why


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("redis", "a proxy"),
        ("COUPON2025", "the coupon"),
        ("gameday", "a word of gameday's own"),
        ("postgresql://postgres:postgres@db/x", "a proxy"),
        ("postgresql://auditor:auditor@db/x", "the user of a store"),
        ("etwork.latenc", "a fault"),
        ("hunter2-that-is-no-word", ""),
        ("postgresql://postgres@db/x", ""),
        ("abc", ""),
    ],
)
def test_a_secret_that_is_a_word_of_the_run_is_warned_of_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, value: str, what: str
) -> None:
    monkeypatch.setenv("AUDIT_REDIS", value)
    inputs = load_inputs("redis-slow", str(ROOT / "system_under_test" / "system.yaml"))
    warnings = [str(each) for each in validate(inputs) if "the secret behind it" in each.text]
    assert [what in each for each in warnings] == ([True] if what else [])
    if what:
        assert "'url'" in warnings[0]
        assert value not in warnings[0].replace(what, "")


def test_the_values_of_a_message_are_masked_and_its_ids_are_not() -> None:
    hide = Hidden(["step", "hunter2"])
    message = Message("step.error", error="no hunter2", others=["hunter2", Message("step.person")])
    event = StepDone(1, "failed", why=message.text(), message=message)
    written = masked(event, hide)
    assert written["message"]["id"] == "step.error"
    assert written["message"]["values"] == {
        "error": f"no {MASK}",
        "others": [MASK, {"id": "step.person", "values": {}}],
    }
    seen = Observation("P", ok=True, message=message)
    (witness,) = masked(FaultDosed("a", "yes", {"witnesses": [seen.as_json()]}, ""), hide)["dose"][
        "witnesses"
    ]
    assert witness["message"] == written["message"]
    assert witness["why"] == f"no {MASK}"


def test_a_journal_without_messages_is_read_by_its_texts() -> None:
    fields = {"step": 1, "status": "done", "why": "seen"}
    for odd in ({}, {"message": {"id": 1}}, {"message": "text"}):
        event = from_json("step.done", {**fields, **odd})
        assert isinstance(event, StepDone)
        assert (event.why, event.message) == ("seen", None)
    newer = from_json("step.done", {**fields, "message": Message("step.person").as_json()})
    assert isinstance(newer, StepDone)
    assert newer.message == Message("step.person")
