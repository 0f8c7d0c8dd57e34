"""Live drills as their people see them: started by the command, worked from other terminals.

Each has a state folder, a folder for temporary files and runs of its own, so that all that is at
rest of it lies under one folder. The experiments are copies of shipped ones in their short form,
under a name and with fault ids that stand nowhere else; they lie with the facilitator, elsewhere.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from gameday.evidence import journal
from gameday.evidence.journal import Record
from gameday.evidence.sealed_box import read_key_file
from gameday.spec.experiment import Experiment
from gameday.spec.faults import Spike
from gameday.spec.faults.service import PARTS
from gameday.spec.inputs import find_experiment, load_drill
from gameday.spec.shipped import all_playbooks

ROOT = Path(__file__).parents[2]
MARK = "zq7kestrel"
"""Part of every name that a copy bears."""
LASTS_S = 90
PROXIED = ("redis", "postgres")
"""Components that every run of the shipped system has."""


@dataclass(frozen=True)
class Copy:
    """A copy of a shipped experiment, and the experiment that it is when it is drilled."""

    path: Path
    experiment: Experiment


def copied(name: str, folder: Path, lasts_s: float = LASTS_S, mark: str = MARK) -> Copy:
    """The short form of a shipped experiment as a drill, under names of its own."""
    source = find_experiment(name)
    raw: dict[str, Any] = yaml.safe_load(source.read_text())
    drill = {**(raw.pop("short", None) or {}), "lasts": f"{lasts_s}s"}
    method = drill.get("method", raw["method"])
    names = {
        fault.get("id"): f"{fault.get('id', 'it')}-{n}-{mark}" for n, fault in enumerate(method)
    }
    drill["method"] = [{**fault, "id": names[fault.get("id")]} for fault in method]
    drill["rules"] = [str((source.parent / each).resolve()) for each in drill.get("rules", [])]
    expect = {**raw.get("expect", {}), **drill.get("expect", {})}
    for alert in expect.get("alerts", []):
        if "of" in alert:
            alert["of"] = names[alert["of"]]
    drill["expect"] = {"alerts": expect.get("alerts", [])}
    raw |= {"name": f"{name}-{mark}", "title": f"{raw['title']} ({mark})", "drill": drill}
    path = folder / f"{name}-{mark}.yaml"
    path.write_text(yaml.safe_dump(raw))
    return Copy(path, load_drill(str(path), 0).loaded.experiment)


@dataclass
class Held:
    """A drill under way: its process, its folder, and the file with its key."""

    process: "subprocess.Popen[bytes]"
    place: Path
    key_file: Path
    output: Path

    @property
    def environment(self) -> dict[str, str]:
        return environment(self.place)

    def dir(self) -> Path:
        return next((self.place / "runs").iterdir())

    def records(self) -> Sequence[Record]:
        """All of the journal, as the facilitator reads it."""
        path = next((self.place / "runs").glob("*/journal.jsonl"), None)
        if path is None or not self.key_file.exists():
            return ()
        return journal.read(path, read_key_file(self.key_file)).records

    def until(self, kind: str, within_s: float = 60) -> None:
        """Wait for an event."""
        self.wait(lambda: any(r.event.kind == kind for r in self.records()), kind, within_s)

    def wait(self, condition: Callable[[], object], what: str, within_s: float = 60) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            ended = self.process.poll() is not None
            assert not ended, f"it ended before {what}: {self.output.read_text()}"
            assert time.monotonic() < deadline, f"no {what}: {self.output.read_text()}"
            time.sleep(0.05)

    def links(self) -> dict[str, str]:
        """The console's links, by role, as the terminal shows them."""
        roles = {"who leads": "facilitator", "those who work": "trainee", "look on": "observer"}
        found: dict[str, str] = {}

        def told() -> bool:
            for link, about in re.findall(r"(http\S+#\S+)\s+\(([^)]*)\)", self.output.read_text()):
                found.update({role: link for word, role in roles.items() if word in about})
            return len(found) == len(roles)

        self.wait(told, "links")
        return found

    def say(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """A command in another terminal."""
        return subprocess.run(
            [sys.executable, "-m", "gameday", *command],
            env=self.environment,
            cwd=self.place,
            capture_output=True,
            text=True,
            check=False,
        )

    def facilitate(self, *command: str) -> "subprocess.CompletedProcess[str]":
        return self.say("drill", *command, "--key-file", str(self.key_file))

    def order(self, *order: str) -> "subprocess.CompletedProcess[str]":
        return self.say("incident", *order, "--by", "ann")

    def finish(self) -> int:
        return self.process.wait(120)

    def processes(self) -> list[psutil.Process]:
        """Every process of this drill: by its state folder, which all inherit."""
        found = []
        for each in psutil.process_iter():
            try:
                if each.environ().get("XDG_STATE_HOME") == str(self.place / "state"):
                    found.append(each)
            except psutil.Error:
                continue
        return found


def environment(place: Path) -> dict[str, str]:
    """What a trainee's shell has, and the folders of one drill."""
    kept = ("PATH", "HOME", "LANG", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    own = {"XDG_STATE_HOME": str(place / "state"), "TMPDIR": str(place / "tmp")}
    return {name: os.environ[name] for name in kept if name in os.environ} | own


@contextmanager
def held(experiment: Path, place: Path, *options: str, window: str = "2s") -> Iterator[Held]:
    """A drill of that file; whatever is still there in the end is ended."""
    for name in ("state", "tmp"):
        (place / name).mkdir(parents=True)
    (place / "tmp").chmod(0o777)
    key_file = experiment.parent / f"{place.name}.key"
    output = place / "terminal"
    output.touch(0o600)  # the facilitator's: it shows the links
    with output.open("wb") as terminal:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gameday", "drill", str(experiment)),
                *("--window", window, "--key-file", str(key_file), *options),
            ],
            cwd=place,
            env=environment(place),
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=terminal,
        )
    drill = Held(process, place, key_file, output)
    try:
        yield drill
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a path that is short enough for a socket, and open for a database's user."""
    with tempfile.TemporaryDirectory(prefix="gd-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def secrets_of(copy: Copy) -> list[str]:
    """What another user must not learn: kinds and ids of the faults, name and title."""
    experiment = copy.experiment
    told = [experiment.name, experiment.title]
    for fault in experiment.method:
        told += [fault.fault, fault.id or ""]
    return sorted({each for each in told if each})


def words(copy: Copy) -> list[str]:
    """Texts that would tell what is broken, or which file it is from.

    The names of playbooks are no secret, and requests are seen by whoever receives them.
    """
    experiment = copy.experiment
    told = [experiment.name, experiment.title, " ".join(experiment.hypothesis.split())]
    told += [MARK, copy.path.name, "fault.in", "fault.dosed", "fault.removed", '"toxic"']
    for fault in experiment.method:
        told += [fault.fault, fault.fault.replace(".", "-"), fault.id or ""]
        if not isinstance(fault, Spike):
            parts = {*PARTS, *PROXIED}
            told += [f'"{change.kind}"' for change in fault.changes() if change.kind not in parts]
            told += _amounts(fault)
    books = {path.stem for path in all_playbooks()}
    return sorted({each for each in told if len(each) > 2 and each not in books})


def _amounts(fault: Any) -> Iterator[str]:
    """What only this kind of fault has to say: names and values of its own keys."""
    common = {"fault", "id", "at", "duration", "target"}
    for key, value in fault.model_dump(mode="json", exclude_none=True).items():
        if key not in common and not isinstance(value, bool):
            yield f'"{key}": {value!r}'.replace("'", '"')


def found_at_rest(drill: Held, looked_for: Sequence[str]) -> list[str]:
    """Each place where one of the words stands, of all that a trainee of this user may read."""
    found: list[str] = []
    for path in sorted(drill.place.rglob("*")):
        if path.is_file() and not path.is_symlink():
            try:
                found += _in(path.read_bytes(), str(path.relative_to(drill.place)), looked_for)
            except OSError:
                continue  # it is gone meanwhile, or another user's
        found += _in(path.name.encode(), f"the name {path.name}", looked_for)
    for process in drill.processes():
        try:
            found += _in(" ".join(process.cmdline()).encode(), "a command line", looked_for)
            shown = " ".join(f"{k}={v}" for k, v in process.environ().items())
            found += _in(shown.encode(), f"the environment of {process.name()}", looked_for)
        except psutil.Error:
            continue
    return found


def _in(raw: bytes, where: str, looked_for: Sequence[str]) -> Iterator[str]:
    for word in looked_for:
        at = raw.find(word.encode())
        if at >= 0:
            yield f"{word!r} in {where}: {raw[max(0, at - 60) : at + 60]!r}"
