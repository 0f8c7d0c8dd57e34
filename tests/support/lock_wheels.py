"""Whether everything in requirements.lock has a wheel where gameday is to run, from the lock alone.

    python -m tests.support.lock_wheels [LOCK]

For each Python and platform the lock's own markers say what is installed there. pip, asked as if
it stood there (`--dry-run`, wheels only), says which file it would take of each from the index it
is configured with; that file's hash must stand in the lock, and the file must want this Python.
One line a target, and a line for what is missing; exit code 1 where anything is.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.markers import Marker
from packaging.specifiers import SpecifierSet

LOCK: Final = Path(__file__).resolve().parents[2] / "requirements.lock"
PIP_LIMIT_S: Final = 300
_PINNED: Final = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>.+?))? \\$")


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of the lock: the version, where it is installed, the hashes of its files."""

    name: str
    version: str
    marker: str
    hashes: frozenset[str]

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, slots=True)
class Target:
    """A CPython on a machine, and the platforms that its pip accepts wheels for."""

    python: str
    system: str
    machine: str
    platforms: tuple[str, ...]

    def __str__(self) -> str:
        return f"CPython {self.python} on {self.system} {self.machine}"

    def installs(self, pin: Pin) -> bool:
        """Whether the lock's marker holds here; of each Python its first release is meant."""
        facts = {
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "sys_platform": self.system,
            "platform_system": {"linux": "Linux", "darwin": "Darwin"}[self.system],
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "implementation_name": "cpython",
            "os_name": "posix",
        }
        return not pin.marker or Marker(pin.marker).evaluate(facts)


def targets(pythons: Sequence[str] = ("3.11", "3.12", "3.13", "3.14")) -> list[Target]:
    """Every Python on the four platforms: glibc 2.28 (Debian 10, RHEL 8) and macOS 14, or later.

    google-re2's wheels for macOS begin at 14, those of the two stores for Linux at glibc 2.28.
    """
    found = []
    for python in pythons:
        for machine in ("x86_64", "aarch64"):
            named = [f"manylinux_2_{minor}_{machine}" for minor in (28, 27, 26, 24, 17, 12, 5)]
            platforms = (*named, f"manylinux2014_{machine}")
            found.append(Target(python, "linux", machine, platforms))
        for machine in ("arm64", "x86_64"):
            found.append(Target(python, "darwin", machine, (f"macosx_14_0_{machine}",)))
    return found


def pins(lock: str) -> list[Pin]:
    """What the lock pins. Raises ValueError for a line that is none of its kinds."""
    found: list[Pin] = []
    for line in lock.splitlines():
        if pinned := _PINNED.match(line):
            found.append(
                Pin(pinned["name"], pinned["version"], pinned["marker"] or "", frozenset())
            )
        elif hashed := re.fullmatch(r"    --hash=sha256:([0-9a-f]{64})(?: \\)?", line):
            last = found.pop()
            found.append(Pin(last.name, last.version, last.marker, last.hashes | {hashed[1]}))
        elif not re.match(r"\s*#", line):
            raise ValueError(f"the lock: what is {line!r}?")
    return found


def missing(target: Target, wanted: Sequence[Pin], options: Sequence[str] = ()) -> list[str]:
    """What `target` would not get of `wanted`, each with the reason. `options` are pip's."""
    problems = []
    left = list(wanted)
    while True:
        taken, without = _asked(target, left, options)
        if not without:
            break
        problems += [f"{pin} has no wheel" for pin in left if str(pin) == without]
        left = [pin for pin in left if str(pin) != without]
    for pin in left:
        problems += taken[_normal(pin.name)].problems(pin, target)
    return problems


@dataclass(frozen=True, slots=True)
class _Taken:
    """The file pip would install, its hash, and the Pythons it is for."""

    file: str
    sha256: str
    requires_python: str

    def problems(self, pin: Pin, target: Target) -> Iterator[str]:
        if self.sha256 not in pin.hashes:
            yield f"{pin}: the lock has no hash of {self.file}"
        if f"{target.python}.0" not in SpecifierSet(self.requires_python):
            yield f"{pin}: {self.file} wants Python {self.requires_python}"


def _asked(
    target: Target, wanted: Sequence[Pin], options: Sequence[str]
) -> tuple[dict[str, _Taken], str]:
    """What pip would take by name; or the first of `wanted` that it finds nothing for."""
    with tempfile.TemporaryDirectory() as nowhere:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--report", "-"),
                *("--no-deps", "--ignore-installed", "--only-binary=:all:", "--target", nowhere),
                # pip would ask it of the Python it runs on; `problems` asks it of the target's.
                *("--ignore-requires-python", "--implementation", "cp"),
                *("--python-version", target.python),
                *(word for each in target.platforms for word in ("--platform", each)),
                *options,
                *map(str, wanted),
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=PIP_LIMIT_S,
        )
    if without := re.search(r"No matching distribution found for (\S+)", done.stderr):
        return {}, without[1]
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return dict(_reported(json.loads(done.stdout))), ""


def _reported(report: dict[str, Any]) -> Iterator[tuple[str, _Taken]]:
    for each in report["install"]:
        about, info = each["metadata"], each["download_info"]
        archive = info["archive_info"]
        # pip 23.0, which Debian 12 has, writes "hash": "sha256=…"; later ones a table of hashes.
        sha256 = archive["hashes"]["sha256"] if "hashes" in archive else archive["hash"][7:]
        file = info["url"].rpartition("/")[2]
        yield _normal(about["name"]), _Taken(file, sha256, about.get("requires_python", ""))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main(lock: Path) -> int:
    """Ask for every target, print what was found; the exit code."""
    everything = pins(lock.read_text())
    is_short = False
    for target in targets():
        wanted = [pin for pin in everything if target.installs(pin)]
        problems = missing(target, wanted)
        print(f"{target}: {len(wanted) - len(problems)} of {len(wanted)} have a wheel", flush=True)
        for problem in problems:
            print(f"  {problem}")
        is_short = is_short or bool(problems)
    return int(is_short)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else LOCK))
