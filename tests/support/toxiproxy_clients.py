"""Toxiproxy clients in other languages: fetched once, kept in a folder of their own, run.

They are the proof that any client works, so each runs unmodified, as its registry has it. Where a
language or its registry is not there, `Absent` says why, and the test that wanted it is skipped.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

NODE_CLIENT = "toxiproxy-node-client@4.1.0"
GO_CLIENT = "github.com/Shopify/toxiproxy/v2/client@v2.12.0"
FETCH_LIMIT_S = 50
SESSION_LIMIT_S = 20
SESSIONS = Path(__file__).parents[1] / "toxiproxy" / "clients"


Command = tuple[list[str], dict[str, str]]
"""The arguments, and what to add to the environment."""


class Absent(Exception):
    """A client that cannot be had here, and why."""


def node_command(api: str, upstream: str) -> Command:
    """How the Node client's session is run. Raises Absent."""
    node, npm = _program("node"), _program("npm")
    home = _kept(NODE_CLIENT, lambda folder: _install_node_client(npm, folder))
    argv = [node, str(SESSIONS / "session.cjs"), api, upstream]
    return argv, {"NODE_PATH": str(home / "node_modules")}


def go_command(api: str, upstream: str) -> Command:
    """How the Go client's session is run. Raises Absent."""
    go = _program("go")
    source = (SESSIONS / "session.go").read_bytes()
    label = f"{GO_CLIENT}-{len(source)}-{sum(source)}"
    home = _kept(label, lambda folder: _build_go_client(go, folder))
    return [str(home / "session"), api, upstream], {}


def ruby_command(api: str, upstream: str) -> Command:
    """How the Ruby client's session is run: with the gem, or its source at GAMEDAY_TOXIPROXY_RUBY.

    Raises Absent.
    """
    ruby = _program("ruby")
    source = os.environ.get("GAMEDAY_TOXIPROXY_RUBY")
    library = [] if source is None else ["-I", str(Path(source) / "lib")]
    _run([ruby, *library, "-e", "require 'toxiproxy'"], Path(tempfile.gettempdir()))
    return [ruby, *library, str(SESSIONS / "session.rb"), api, upstream], {}


def _install_node_client(npm: str, folder: Path) -> None:
    quiet = ["--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--loglevel=error"]
    _run([npm, "install", *quiet, "--prefix", str(folder), NODE_CLIENT], folder)


def _build_go_client(go: str, folder: Path) -> None:
    (folder / "session.go").write_bytes((SESSIONS / "session.go").read_bytes())
    _run([go, "mod", "init", "session"], folder)
    _run([go, "get", GO_CLIENT], folder)
    _run([go, "build", "-o", "session", "."], folder)


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise Absent(f"no {name} on the PATH")
    return path


def _kept(label: str, fill: Callable[[Path], None]) -> Path:
    """The folder that `fill` filled, now or at some time before; never a half-filled one."""
    peers = Path(tempfile.gettempdir()) / "gameday-peers"
    peers.mkdir(exist_ok=True)
    home = peers / label.replace("/", "_")
    if not home.is_dir():
        filling = Path(tempfile.mkdtemp(dir=peers))
        try:
            fill(filling)
            with suppress(OSError):  # another process was quicker
                filling.rename(home)
        finally:
            shutil.rmtree(filling, ignore_errors=True)
    return home


def _run(argv: list[str], folder: Path) -> None:
    env = os.environ | {"GOFLAGS": "-modcacherw", "GOPATH": str(folder.parent / "go")}
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=FETCH_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Absent(f"{Path(argv[0]).name}: no answer within {FETCH_LIMIT_S} s") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Absent(f"{' '.join([Path(argv[0]).name, *argv[1:3]])}: {last}")
