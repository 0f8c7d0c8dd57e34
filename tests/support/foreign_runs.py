"""Runs against the foreign shop: its process, a system file for it, and what became of the run."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.sut_stores import ending_with_me

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "tests" / "support" / "foreign_shop.py"
OUTCOMES: Mapping[str, Any] = {
    "issued": {"status": 201},
    "duplicate": {"status": 409, "json": {"result": "again"}},
    "sold_out": {"status": 409, "json": {"result": "gone"}},
}
TICKETS: Mapping[str, Any] = {
    "get": "/tickets/{ticket}",
    "every": "100ms",
    "within": "5s",
    "until": {
        "issued": {"status": 200, "json": {"state": "ok"}},
        "duplicate": {"status": 200, "json": {"state": "again"}},
        "sold_out": {"status": 200, "json": {"state": "gone"}},
    },
    "capture": {"issue_id": "voucher"},
}
"""The question after a claim that the shop decides later."""
SALE_SHOP = ROOT / "tests" / "support" / "sale_shop.py"
CLAIMS: dict[str, Any] = {
    "get": "/sales/{coupon}/claims",
    "rows": "data.items",
    "user": "member.id",
    "id": "voucher",
}
"""The audit of that shop, without its counts."""


@dataclass(frozen=True)
class Finished:
    """A run that is over."""

    code: int
    told: str
    dir: Path

    @property
    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.dir / "result.json").read_bytes())
        return found

    def check(self, name: str) -> dict[str, Any]:
        return next(each for each in self.result["checks"] if each["name"] == name)

    def wrong(self) -> dict[str, str]:
        """Checks that are not valid, and what they say."""
        checks = self.result["checks"]
        return {c["name"]: c["summary"] for c in checks if c["verdict"] != "valid"}


@contextmanager
def shop(folder: Path, program: Path = SHOP, **setting: Any) -> Iterator[str]:
    """The shop at work, or another such program; its address."""
    file = folder / "port"
    argv: list[str | Path] = [sys.executable, program, file, json.dumps(setting)]
    process = subprocess.Popen(ending_with_me(argv))
    try:
        deadline = time.monotonic() + 30
        while not file.exists():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
        yield f"http://127.0.0.1:{file.read_text()}"
    finally:
        process.kill()
        process.wait()


def run(folder: Path, url: str, issue: Mapping[str, Any], **changes: Any) -> Finished:
    """One run of two seconds: `issue` is the request, `changes` other keys of the system file.

    `traffic`, `expect` and the number of `users` go into the experiment, and `more` are other keys
    of it; `users_file` is the system's `users`.
    """
    if "users_file" in changes:
        changes["users"], members = changes.pop("users_file"), changes.pop("users")
    else:
        members = changes.pop("users", 5_000)
    rate = {"executor": "constant-arrival-rate", "rate": "60/s", "duration": "2s"}
    experiment = {
        "name": "claims",
        "seed": 7,
        "campaign": {
            "coupon": "SALE",
            "users": members,
            **({"stock": changes.pop("stock")} if "stock" in changes else {}),
        },
        "traffic": {"drop": changes.pop("traffic", rate)},
        "expect": changes.pop("expect", {}),
        **changes.pop("more", {}),
    }
    system = {
        "name": "shop",
        "base_url": url,
        "requests": {"issue": {"outcomes": OUTCOMES, **issue}},
        "audit": {"get": "/audit"},
        "settle": "300ms",
        **changes,
    }
    files = {"claims.yaml": experiment, "shop.yaml": system}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    command = [sys.executable, "-m", "gameday", "run", str(folder / "claims.yaml")]
    command += ["--stack", "external", "--system", str(folder / "shop.yaml")]
    done = subprocess.run(
        [*command, "--runs", str(folder / "runs")],
        cwd=folder,
        env={**os.environ, "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    dirs = list((folder / "runs").glob("*")) if (folder / "runs").exists() else []
    newest = max(dirs, key=lambda each: each.stat().st_mtime_ns, default=folder)
    return Finished(done.returncode, done.stdout + done.stderr, newest)
