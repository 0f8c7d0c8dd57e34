"""The run directory at its beginning: what was asked for, byte by byte, and who we are.

`inputs/` holds the files as they were read; `effective.json` what they mean here: the short
form applied, defaults, seed and fault ids filled in, and the stack's addresses. Judging and
reporting read only that. No secret is in it: the system file has none.
"""

import hashlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday.clock import utc_now
from gameday.experiment import Experiment
from gameday.playbook import Playbook
from gameday.system import System
from gameday.workload import schedule

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, slots=True)
class Files:
    """What was loaded: models, and the bytes they came from."""

    experiment: Experiment
    experiment_raw: bytes
    short: bool
    system: System
    system_raw: bytes
    system_dir: Path
    playbook: Playbook | None
    playbook_raw: bytes
    rules: tuple[Path, ...]


def new_run_id(name: str) -> str:
    """`20261123T083000Z-redis-slow-k3f9`."""
    tail = "".join(secrets.choice(ALPHABET) for _ in range(4))
    return f"{utc_now():%Y%m%dT%H%M%SZ}-{name}-{tail}"


def coupon_of(files: Files, run: str) -> str:
    """The campaign's code: the run's own where campaigns can be created, so runs never meet."""
    coupon = files.experiment.campaign.coupon
    if files.system.campaign is None:
        return coupon
    stamp, tail = run.split("-")[0], run.split("-")[-1]
    return f"{coupon}-{stamp}-{tail}"


def traffic_end_s(experiment: Experiment) -> float:
    """Seconds from t = 0 to the end of the last schedule."""
    return max(schedule(spec.model_dump(mode="json")).end_s for spec in experiment.traffic.values())


def planned(experiment: Experiment) -> dict[str, int]:
    """How many starts each scenario's schedule asks for."""
    return {
        name: schedule(spec.model_dump(mode="json")).count
        for name, spec in experiment.traffic.items()
    }


def lay_out(runs_dir: Path, run: str, files: Files) -> tuple[Path, dict[str, str]]:
    """Make the run directory with the inputs in it; their SHA-256 by name."""
    folder = runs_dir / run
    for name in ("inputs/rules", "history", "logs"):
        (folder / name).mkdir(parents=True)
    raws = {"experiment.yaml": files.experiment_raw, "system.yaml": files.system_raw}
    if files.playbook is not None:
        raws["playbook.md"] = files.playbook_raw
    for path in files.rules:
        raws[f"rules/{path.name}"] = path.read_bytes()
    for name, raw in raws.items():
        (folder / "inputs" / name).write_bytes(raw)
    return folder, {name: hashlib.sha256(raw).hexdigest() for name, raw in raws.items()}


def write_effective(folder: Path, files: Files, system: System, facts: dict[str, Any]) -> None:
    """`inputs/effective.json`; `facts` are the fields that are not models."""
    dump: dict[str, Any] = {"mode": "json", "by_alias": True, "exclude_none": True}
    book = files.playbook
    effective = {
        "schema": 1,
        **facts,
        "short": files.short,
        "experiment": files.experiment.model_dump(**dump),
        "system": system.model_dump(**dump),
        "playbook": None
        if book is None
        else {
            "head": book.head.model_dump(**dump),
            "steps": [
                {"number": s.number, "text": s.text, "block": s.block.model_dump(**dump)}
                for s in book.steps
            ],
        },
        "traffic_end_s": traffic_end_s(files.experiment),
        "planned": planned(files.experiment),
    }
    (folder / "inputs" / "effective.json").write_text(json.dumps(effective, indent=1) + "\n")
