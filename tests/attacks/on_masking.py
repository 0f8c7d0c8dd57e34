"""Secrets that are words of the run, and records that are not what they were.

Whatever the secret is, what a machine reads back is what was written; and what an undo cannot find
is never called gone.
"""

import asyncio
import json
from typing import Any

from gameday.core.clock import SystemClock
from gameday.core.secrets.redaction import MASK, Hidden, hidden_in
from gameday.evidence import journal
from gameday.evidence.events import MASKED, from_json
from gameday.evidence.journal import Journal
from gameday.injection.drivers import Drivers
from gameday.injection.heal import Left, left_behind, take_back
from gameday.injection.undo_policy import UndoPolicy
from gameday.spec import undos
from gameday.telemetry.collector.samples_writer import SamplesWriter
from gameday.telemetry.promql.labels import labels
from gameday.telemetry.samples import LiveEvaluation, Scrape
from gameday.telemetry.samples import read as read_samples
from tests.attacks.place import Place
from tests.attacks.registry import attack
from tests.support.events import event_of

RUN = "20260101T000000Z-redis-slow-abcd"
ON_PROXY = {"url": "http://127.0.0.1:1", "proxy": "redis", "names": ["postgres", "redis"]}
UNDOS: dict[str, dict[str, Any]] = {
    "toxic": {"kind": "toxic", **ON_PROXY, "name": f"gameday-{RUN}-1"},
    "proxy": {"kind": "proxy", **ON_PROXY, "enabled": True},
    "whole": {
        "kind": "proxy",
        **ON_PROXY,
        "whole": {"listen": "127.0.0.1:6", "upstream": "redis:6379", "enabled": True, "toxics": []},
    },
    "lock": {"kind": "sql", "do": "lock", "dsn": {"env": "PG"}, "name": f"gameday-{RUN}-1"},
    "index": {
        "kind": "sql",
        "do": "index",
        "dsn": {"env": "PG"},
        "name": f"gameday-{RUN}-1",
        "index": "shop.redis",
        "definition": "CREATE INDEX redis ON shop.gameday (slow)",
    },
    "expire": {
        "kind": "redis",
        "do": "expire",
        "url": {"env": "R"},
        "name": f"gameday-{RUN}-1",
        "keys": {"stock:redis-slow": -1, "gameday:slow": 5},
    },
    "request": {
        "kind": "request",
        "action": "use-redis",
        "base_url": "http://127.0.0.1:1",
        "request": {"post": "/redis/slow", "json": {"what": "gameday"}},
        "values": {"coupon": "redis-slow", "run": RUN},
    },
    "process": {
        "kind": "process",
        "pid": 4_000_000,
        "start_time": "1@redis-slow",
        "name": "redis",
        "token": "gameday",
    },
    "folder": {"kind": "folder", "path": "/tmp/gameday-0-redis-slow"},
    "service": {
        "kind": "service",
        "what": "start",
        "part": "/tmp/gameday-0-slow/redis.json",
        "name": "redis",
    },
}
WORDS = {
    "a-part": "redis",
    "gamedays-own": "gameday",
    "in-the-runs-name": "slow",
    "the-experiment": "redis-slow",
    "the-run": RUN,
    "an-address": "127.0.0.1",
    "a-password-in-a-dsn": "redis://gameday:redis@127.0.0.1/0",
}
RECORDS = {
    f"{kind}-{what}": (undo, secret)
    for kind, undo in UNDOS.items()
    for what, secret in WORDS.items()
    if any(each in json.dumps(undo) for each in (secret, "redis") if len(each) > 3)
}


@attack("masking", RECORDS)
def an_undo_that_holds_a_secret_word(place: Place, case: tuple[dict[str, Any], str]) -> None:
    undo, secret = case
    book = Journal(place.folder / "journal.jsonl", SystemClock(), "m1")
    book.hide = Hidden([secret])
    book.write(event_of("run.started", run=RUN, masked=MASKED))
    book.write(event_of("fault.injecting", id="redis-slow-1", target="redis", undo=[undo]))
    book.write(event_of("fault.removed", id="other", gone=None, why=f"it said {secret}"))
    book.close()
    records = journal.read(book.path).records
    (left,) = left_behind(records)
    assert (left.name, left.undo, left.masked) == ("redis-slow-1", undos.from_json(undo), False)
    assert secret not in records[-1].data["why"]


OLD = {kind: hidden_in(undo, Hidden(["redis", "gameday", "slow"])) for kind, undo in UNDOS.items()}


@attack("masking", OLD)
def a_record_that_was_masked(place: Place, undo: dict[str, Any]) -> None:
    """As journals of before hold them: neither acted on, nor called gone."""
    del place
    records = [
        journal.RecordOf(0, 0, from_json("fault.injecting", {"id": "***-1", "undo": [undo]}))
    ]
    (left,) = left_behind(records)
    healed = asyncio.run(take_back(left, {}, UndoPolicy(), Drivers()))
    assert not healed.settled, healed
    assert healed.gone is None, healed


NOBODY = {"env": "GAMEDAY_NO_SUCH_STORE"}
ABSENT: dict[str, dict[str, Any]] = {
    "toxic-nobody-listens": UNDOS["toxic"],
    "proxy-nobody-listens": UNDOS["proxy"],
    "store-not-named": {**UNDOS["lock"], "dsn": NOBODY},
    "redis-not-named": {**UNDOS["expire"], "url": NOBODY},
    "folder-of-a-masked-path": {"kind": "folder", "path": "/tmp/gameday-***"},
    "part-of-a-masked-path": {**UNDOS["service"], "part": "/tmp/***/redis.json"},
    "process-with-a-masked-token": {**UNDOS["process"], "token": MASK},
    "no-record-at-all": {"kind": "toxic"},
}


@attack("masking", ABSENT)
def what_cannot_be_found(place: Place, undo: dict[str, Any]) -> None:
    """Unknown, with the reason: absence proves nothing."""
    del place
    healed = asyncio.run(
        take_back(Left("fault", "f", undos.from_json(undo)), {}, UndoPolicy(), Drivers())
    )
    assert healed.gone is None, healed
    assert not healed.settled
    assert healed.why


CANARIES = {
    "a-label": {"l": "s3cr3t-canary"},
    "in-a-label": {"l": "Bearer s3cr3t-canary!"},
    "a-label-name": {"s3cr3t-canary": "1"},
    "percent-encoded": {"l": "s3cr3t%2Dcanary s3cr3t-canary"},
}


@attack("masking", CANARIES)
def a_metric_that_tells_a_secret(place: Place, told: dict[str, str]) -> None:
    path = place.folder / "samples.jsonl"
    secrets = ["s3cr3t-canary", "redis"]
    writer = SamplesWriter(path, Hidden(secrets), Hidden(secrets, 'up{db="redis"}'))
    series = labels("m", db="redis", le="0.5", **told)
    live = LiveEvaluation(t_ns=1, readings={}, alerts=(), up={"t": True})
    writer.write({series: 1.0}, live)
    writer.close()
    assert "s3cr3t-canary" not in path.read_text()
    scrape = next(iter(read_samples(path)))
    assert isinstance(scrape, Scrape)
    assert scrape.values[0][0]["db"] == "redis"
