"""Folders of runs that were judged, for the tests of everything that looks at several runs."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from gameday.evidence.read import read
from gameday.judge.judge import judge
from gameday.report import write_report
from tests.support.rundirs import RunDir

FIRST = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
TAILS = "abcdefghjkmnpqrstuvwxyz"


@cache
def pattern() -> Path:
    """One judged run with its draft; the others are copies with figures of their own."""
    folder = Path(mkdtemp(prefix="past-run-")) / "pattern"
    RunDir().write(folder)
    (folder / "result.json").write_bytes(judge(read(folder)).to_bytes())
    write_report(folder)
    return folder


def name_of(number: int, experiment: str = "redis-slow") -> str:
    """Run `number` of a folder, a day after the one before it."""
    began = FIRST + timedelta(days=number)
    return f"{began:%Y%m%dT%H%M%SZ}-{experiment}-{TAILS[number % 23]}{number:03d}"


def past_run(
    runs_dir: Path,
    number: int,
    *,
    experiment: str = "redis-slow",
    recovered_s: float | None = 7.0,
    p95_ms: float = 300.0,
    seed: int = 7,
    change: Callable[[dict[str, Any]], None] = lambda result: None,
) -> Path:
    """Run `number` of a folder; `change` alters its result."""
    folder = runs_dir / name_of(number, experiment)
    shutil.copytree(pattern(), folder)
    path = folder / "result.json"
    result = json.loads(path.read_text())
    began = FIRST + timedelta(days=number)
    result |= {"run": folder.name, "experiment": experiment, "seed": seed}
    result["started_at"] = began.isoformat().replace("+00:00", "Z")
    result["clocks"]["recovered_after_s"] = recovered_s
    result["traffic"]["metrics"]["http_req_duration_intended"]["p(95)"] = p95_ms
    change(result)
    path.write_text(json.dumps(result))
    return folder
