"""Secrets that are words of the run they are used in, and a system file that uses one of them.

What a machine reads back must be the same whatever they are: the names of proxies and parts, the
coupon, the run's own experiment and fault, gameday's own words, and addresses whose password is
the user's name, as people write them when nobody is to be kept out.
"""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import yaml

from gameday.core.secrets.redaction import MASK, SHORTEST
from gameday.evidence import journal

ROOT = Path(__file__).parents[2]
SYSTEM = ROOT / "system_under_test" / "system.yaml"
VARIABLE = "GAMEDAY_TEST_WORD"
COMMON = (
    "redis",
    "postgres",
    "toxiproxy",
    "service",
    "gameday",
    "toxic",
    "proxy",
    "COUPON2025",
    "coupon-issuance",
    "latency",
    "network",
    "drop",
    "fast",
    "traffic",
    "true",
    "127.0.0.1",
    "postgresql://postgres:postgres@127.0.0.1:5432/postgres",
    "redis://:redis@127.0.0.1:6379/0",
)


def drawn(draw: random.Random, experiment: str) -> str:
    """A secret that is a word of a run of `experiment`."""
    own = [experiment, *experiment.split("-"), f"gameday-{experiment}"]
    return draw.choice([*COMMON, *(word for word in own if len(word) >= SHORTEST)])


def system_file(folder: Path) -> Path:
    """The system file of this repository, with one more secret: it is sent with each request."""
    path = folder / "wordy-system.yaml"
    if not path.exists():
        content = yaml.safe_load(SYSTEM.read_text())
        content["rules"] = [str(SYSTEM.parent / rule) for rule in content["rules"]]
        for request in (content["requests"]["issue"], content["audit"], content["close"]):
            request["headers"] = {**request.get("headers", {}), "X-Word": {"env": VARIABLE}}
        path.write_text(yaml.safe_dump(content))
    return path


def misread(run_dir: Path) -> list[str]:
    """What of a run's files is not what was meant: masked names, ids that nobody gave."""
    planned = json.loads((run_dir / "inputs" / "effective.json").read_text())
    ids = {fault["id"] for fault in planned["experiment"].get("method", [])}
    found = []
    for path in [run_dir / "journal.jsonl", *run_dir.glob("reaper.jsonl")]:
        for record in journal.read(path).records:
            if MASK in json.dumps(_typed(record)):
                found.append(f"{path.name}: {record.event.kind} {record.seq} is masked")
            if record.event.kind.startswith("fault.") and record.data["id"] not in ids:
                found.append(f"{path.name}: there is no fault {record.data['id']!r}")
    return found


def _typed(record: journal.Record) -> Sequence[object]:
    return [record.data.get(key) for key in ("undo", "id", "fault", "target", "name", "run", "do")]
