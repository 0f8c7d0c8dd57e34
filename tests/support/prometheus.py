"""A real Prometheus and a real Alertmanager for tests: Debian's, where they are installed."""

import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from gameday.core.clock import NS, SystemClock

PROMETHEUS = shutil.which("prometheus")
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
needs_prometheus = pytest.mark.skipif(
    PROMETHEUS is None, reason="no real Prometheus on PATH (Debian: prometheus)"
)
needs_alertmanager = pytest.mark.skipif(
    PROMETHEUS is None or ALERTMANAGER is None,
    reason="no real Alertmanager on PATH (Debian: prometheus-alertmanager)",
)
REDIS_EXPORTER = shutil.which("prometheus-redis-exporter")
POSTGRES_EXPORTER = shutil.which("prometheus-postgres-exporter")
needs_exporters = pytest.mark.skipif(
    PROMETHEUS is None or REDIS_EXPORTER is None or POSTGRES_EXPORTER is None,
    reason="no real exporters on PATH (Debian: prometheus-{redis,postgres}-exporter)",
)
READY_S = 30.0
CLOCK = SystemClock()


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


@contextmanager
def prometheus(
    folder: Path,
    targets: Sequence[str],
    *,
    rules: str = "",
    every: str = "1s",
    alertmanager: str = "",
    web: str = "",
    jobs: Sequence[object] = (),
    more: Sequence[str] = (),
) -> Iterator[str]:
    """One that scrapes these `host:port` as the job `service`; its address, once it is ready."""
    folder.mkdir(exist_ok=True)
    (folder / "rules.yml").write_text(rules or "groups: []\n")
    config: dict[str, object] = {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(folder / "rules.yml")],
        "scrape_configs": [
            {"job_name": "service", "static_configs": [{"targets": list(targets)}]},
            *jobs,
        ],
    }
    if alertmanager:
        there = [{"static_configs": [{"targets": [alertmanager]}]}]
        config["alerting"] = {"alertmanagers": there}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    options = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'db'}"]
    options += [f"--web.listen-address=127.0.0.1:{port}", *more]
    options += ["--rules.alert.resend-delay=1s"]  # it finds its Alertmanager after some seconds
    if web:
        (folder / "web.yml").write_text(web)
        options += [f"--web.config.file={folder / 'web.yml'}"]
    with _running([str(PROMETHEUS), *options], f"http://127.0.0.1:{port}", folder) as url:
        yield url


@contextmanager
def alertmanager(folder: Path, config: str) -> Iterator[str]:
    """One with this configuration; its address, once it is ready."""
    folder.mkdir(exist_ok=True)
    (folder / "alertmanager.yml").write_text(config)
    port = free_port()
    options = [f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'db'}"]
    options += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with _running([str(ALERTMANAGER), *options], f"http://127.0.0.1:{port}", folder) as url:
        yield url


@contextmanager
def exporter(folder: Path, program: str | None, **env: str) -> Iterator[str]:
    """One of a store that its environment names; the `host:port` that it is scraped at."""
    folder.mkdir(exist_ok=True)
    at = f"127.0.0.1:{free_port()}"
    argv = [str(program), f"--web.listen-address={at}"]
    with _running(argv, f"http://{at}", folder, ready="/metrics", env=env):
        yield at


@contextmanager
def _running(
    argv: Sequence[str],
    url: str,
    folder: Path,
    *,
    ready: str = "/-/ready",
    env: Mapping[str, str] | None = None,
) -> Iterator[str]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, env=env)
    try:
        deadline_ns = CLOCK.now_ns() + int(READY_S * NS)
        while not _is_ready(f"{url}{ready}"):
            assert process.poll() is None, (folder / "log").read_text()
            assert CLOCK.now_ns() < deadline_ns, (folder / "log").read_text()
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _is_ready(url: str) -> bool:
    try:
        with httpx.Client(trust_env=False, timeout=0.2) as client:
            return client.get(url).status_code in (200, 401)
    except httpx.HTTPError:
        return False
