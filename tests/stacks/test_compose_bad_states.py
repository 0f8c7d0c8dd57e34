"""Bad states of containers, as a user meets them: one error that names it, its cure, exit 4."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from gameday.core.errors import ExitCode
from tests.support.containers import ROOT, SYSTEM_FILE, with_engine
from tests.support.sut_stores import free_port

pytestmark = [pytest.mark.compose, pytest.mark.timeout(180), with_engine]

OWN = """
services:
  cache:
    image: ${{REDIS_IMAGE}}
    command: [redis-server, --protected-mode, "no", --save, ""]
    {cache}
  api:
    image: ${{PYTHON_IMAGE}}
    command: [sleep, "300"]
    ports: ["127.0.0.1:{port}:80"]
"""
SYSTEM_ENV = {
    "AUDIT_REDIS": "redis://127.0.0.1:1/0",
    "AUDIT_POSTGRES": "postgresql://nobody@127.0.0.1:1/none",
    "ADMIN_TOKEN": "any-secret-text",
}


def run(
    folder: Path,
    environment: Mapping[str, str],
    options: Sequence[str] = (),
    as_whom: Sequence[str] = (),
) -> str:
    """What a `gameday run` in containers tells that cannot begin: one error, one cure, exit 4."""
    words = ["run", "redis-slow", "--short", "--stack", "compose", "--runs", str(folder / "runs")]
    done = subprocess.run(
        [*as_whom, sys.executable, "-m", "gameday", *words, *options],
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": str(folder / "state"), **environment},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    told = done.stdout + done.stderr
    assert done.returncode == ExitCode.UNHEALTHY, told
    assert told.count("error: ") == 1, told
    assert told.partition("error: ")[2].count("  help: ") == 1, told
    assert "Traceback" not in told
    return told.partition("error: ")[2]


def own(folder: Path, cache: str) -> list[str]:
    """The options of a run on a project of two, of which `cache` has one key more."""
    file, system, port = folder / "compose.yml", folder / "system.yaml", free_port()
    file.write_text(OWN.format(cache=cache, port=port))
    rules = str(SYSTEM_FILE.parent / "prometheus")
    text = SYSTEM_FILE.read_text().replace("prometheus/", f"{rules}/")
    system.write_text(
        text.replace("base_url: http://127.0.0.1:8080", f"base_url: http://127.0.0.1:{port}")
    )
    where = ["--system", str(system), "--compose-file", str(file)]
    return [*where, "--service-map", "redis=cache,service=api"]


def test_an_engine_that_does_not_run(tmp_path: Path) -> None:
    told = run(tmp_path, {"DOCKER_HOST": f"unix://{tmp_path}/no.sock"})
    assert f"no container engine runs at unix://{tmp_path}/no.sock" in told
    assert "help: start Docker" in told


@contextmanager
def refused_socket() -> Iterator[tuple[Path, Sequence[str]]]:
    """A socket that somebody listens at and this user may not use, and as whom it is so.

    To root nothing is refused, so root gives up the right to pass by the modes of files.
    """
    folder = Path(tempfile.mkdtemp(prefix="engine-"))
    path = folder / "engine.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        path.chmod(0)
        try:
            drop = "--bounding-set=-dac_override,-dac_read_search"
            yield path, (["setpriv", drop] if os.geteuid() == 0 else [])
        finally:
            shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="no setpriv")
def test_a_socket_of_the_engine_that_one_may_not_use(tmp_path: Path) -> None:
    with refused_socket() as (path, as_whom):
        told = run(tmp_path, {"DOCKER_HOST": f"unix://{path}"}, as_whom=as_whom)
    assert f"no permission on the socket of the container engine, unix://{path}" in told
    assert "help: join its group (sudo usermod -aG docker" in told


def test_an_image_that_is_missing(tmp_path: Path) -> None:
    told = run(tmp_path, {"REDIS_IMAGE": "localhost:1/gameday-test/no-such-image:1"})
    assert "an image is missing here, and cannot be fetched" in told
    assert "help: name one that can be had" in told


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        options = own(tmp_path, f'ports: ["127.0.0.1:{port}:6379"]')
        told = run(tmp_path, SYSTEM_ENV, options)
    assert f"port {port} of this machine is taken, and cache is to have it" in told
    assert "help: end what listens there" in told


def test_a_container_that_does_not_get_healthy(tmp_path: Path) -> None:
    check = "{test: [CMD-SHELL, 'echo not yet; exit 3'], interval: 1s, timeout: 5s, retries: 1}"
    told = run(tmp_path, SYSTEM_ENV, own(tmp_path, f"healthcheck: {check}"))
    assert "cache: it did not come up" in told
    assert "its health check ended with 3 and wrote 'not yet'" in told
    assert "help: mend what the log says" in told


def test_a_container_that_quotes_a_secret_as_it_dies(tmp_path: Path) -> None:
    """Neither the terminal nor the evidence has it, whatever else keeps the stack from starting."""
    options = own(tmp_path, "")
    file = tmp_path / "compose.yml"
    says = "echo cannot connect to $$AUDIT_POSTGRES with $$API_PASSWORD or $$GREETING; exit 1"
    known = "{AUDIT_POSTGRES: null, API_PASSWORD: written-in-the-file, GREETING: '${API_TOKEN}'}"
    (tmp_path / ".env").write_text("API_TOKEN=hidden-beside-it\n")
    entry = f'entrypoint: [sh, -c, "{says}"]\n    environment: {known}'
    file.write_text(file.read_text().replace('command: [sleep, "300"]', entry))
    quoted = {"AUDIT_POSTGRES": "postgresql://shop:quite-a-secret@127.0.0.1:1/none"}

    told = run(tmp_path, SYSTEM_ENV | quoted, options)

    assert "api: it did not come up" in told
    assert "cannot connect to *** with *** or ***" in told
    kept = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert any(path.name == "api.log" for path in kept) or any("service" in p.name for p in kept)
    for secret in (b"quite-a-secret", b"written-in-the-file", b"hidden-beside-it"):
        assert [path for path in kept if secret in path.read_bytes()] == []


def test_a_log_that_cannot_be_read_keeps_no_other_from_being_kept(tmp_path: Path) -> None:
    told = run(
        tmp_path, SYSTEM_ENV, own(tmp_path, "logging: {driver: none}\n    command: ['false']")
    )
    assert "cache: it did not come up" in told
    assert "(its log cannot be read: " in told
    logs = {path.name: path.read_text() for path in (tmp_path / "runs").rglob("logs/*.log")}
    assert "cannot be read" in logs["redis.log"]
    assert logs.keys() & {"service.log", "toxiproxy.log"}  # of those that were started by then


def test_a_context_of_docker_that_does_not_exist(tmp_path: Path) -> None:
    told = run(tmp_path, {"DOCKER_HOST": "", "DOCKER_CONTEXT": "no-such-context"})
    assert "docker has no context 'no-such-context', which DOCKER_CONTEXT names" in told
