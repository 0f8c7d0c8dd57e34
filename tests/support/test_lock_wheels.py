"""The lock installs the same everywhere, and the script that asks for wheels notices what lacks.

`python -m tests.support.lock_wheels` asks the package index; here the lock is read without one,
and the script is tried with the real pip on a folder of small wheels.
"""

import hashlib
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.lock_wheels import LOCK, Pin, Target, missing, pins, targets

ELSEWHERE = {"colorama", "pywin32"}
"""What the lock has for Windows alone."""


def names(target: Target) -> set[str]:
    return {pin.name for pin in pins(LOCK.read_text()) if target.installs(pin)}


@pytest.mark.parametrize("target", targets(), ids=str)
def test_every_dependency_is_installed_on_every_target(target: Target) -> None:
    project = tomllib.loads((LOCK.parent / "pyproject.toml").read_text())
    lines = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    asked = {Requirement(line).name.lower() for line in lines}
    without = asked - names(target)
    # A k6 script cannot be imported on a Mac with Intel's processor, and says so; all else can.
    is_intel_mac = (target.system, target.machine) == ("darwin", "x86_64")
    assert without == ({"quickjs-ng"} if is_intel_mac else set())


def test_nothing_is_locked_for_no_target() -> None:
    everywhere = set().union(*map(names, targets()))
    assert {pin.name for pin in pins(LOCK.read_text())} - everywhere == ELSEWHERE


def test_each_pin_has_the_hashes_of_its_files() -> None:
    found = pins(LOCK.read_text())
    assert len(found) > 50
    assert [str(pin) for pin in found if not pin.hashes] == []


def test_one_version_of_a_package_is_installed_on_a_target() -> None:
    for target in targets():
        here = [pin.name for pin in pins(LOCK.read_text()) if target.installs(pin)]
        assert sorted(here) == sorted(set(here)), target


def test_a_line_of_another_kind_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="--index-url"):
        pins("--index-url here\n")


def wheel(folder: Path, name: str, tag: str, requires: str = ">=3.11") -> Pin:
    """A wheel that pip would install, and its pin."""
    path = folder / f"{name}-1.0-{tag}.whl"
    inside = f"{name}-1.0.dist-info"
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Python: {requires}\n"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{inside}/METADATA", about)
        file.writestr(f"{inside}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        file.writestr(f"{inside}/RECORD", "")
    return Pin(name, "1.0", "", frozenset([hashlib.sha256(path.read_bytes()).hexdigest()]))


def test_what_has_no_wheel_no_hash_or_another_python_is_named(tmp_path: Path) -> None:
    any_python = wheel(tmp_path, "pure", "py3-none-any")
    compiled = wheel(tmp_path, "compiled", "cp314-cp314-manylinux_2_17_x86_64")
    old = wheel(tmp_path, "ended", "cp313-cp313-manylinux_2_17_x86_64")
    narrow = wheel(tmp_path, "narrow", "py3-none-manylinux_2_28_x86_64", requires="<3.14")
    other = Pin("pure", "1.0", "", frozenset(["0" * 64]))
    newest = next(each for each in targets(["3.14"]) if each.machine == "x86_64")
    local = ["--no-index", "--find-links", str(tmp_path)]

    assert missing(newest, [any_python, compiled], local) == []
    assert missing(newest, [compiled, old, narrow, other], local) == [
        "ended==1.0 has no wheel",
        "narrow==1.0: narrow-1.0-py3-none-manylinux_2_28_x86_64.whl wants Python <3.14",
        "pure==1.0: the lock has no hash of pure-1.0-py3-none-any.whl",
    ]
