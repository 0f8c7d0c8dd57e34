"""The shop: a compose project that knows nothing of gameday, and its system file, for tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gameday.stacks.ports import lasting_ports
from tests.support.containers import (
    ROOT,
    SYSTEM_FILE,
)

SHOP = Path(__file__).parents[1] / "stacks" / "shop" / "compose.yml"
MAP = "redis=cache,postgres=db,service=api"


def gameday(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "gameday", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def in_shop(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Set what the shop's file and its system file ask for; the shop's ports."""
    names = ("SHOP_PORT", "SHOP_ADMIN_PORT", "SHOP_CACHE_PORT", "SHOP_DB_PORT")
    ports = dict(zip(names, lasting_ports(len(names)), strict=True))
    for name, port in ports.items():
        monkeypatch.setenv(name, str(port))
    monkeypatch.setenv("ADMIN_TOKEN", "not-a-secret-token")
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2-of-the-shop")
    url = f"postgresql://shop:hunter2-of-the-shop@127.0.0.1:{ports['SHOP_DB_PORT']}/shop"
    monkeypatch.setenv("AUDIT_POSTGRES", url)
    monkeypatch.setenv("AUDIT_REDIS", f"redis://127.0.0.1:{ports['SHOP_CACHE_PORT']}/0")
    return ports


def system_file(folder: Path, ports: dict[str, int]) -> Path:
    """A system file as the shop's people write it: their addresses, no `start`, no Toxiproxy."""
    written = yaml.safe_load(SYSTEM_FILE.read_text())
    del written["start"], written["toxiproxy"]
    written["base_url"] = f"http://127.0.0.1:{ports['SHOP_PORT']}"
    written["admin_url"] = f"http://127.0.0.1:{ports['SHOP_ADMIN_PORT']}"
    written["metrics"] = [f"{written['admin_url']}/metrics"]
    written["rules"] = [str(ROOT / "system_under_test" / "prometheus" / "alerts.yml")]
    path = folder / "shop.yaml"
    path.write_text(yaml.safe_dump(written, sort_keys=False))
    return path
