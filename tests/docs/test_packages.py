"""The packages of the site: pinned, and beside those of gameday without a quarrel."""

import re
import tomllib
from pathlib import Path

from tests.support.lock_wheels import Pin, pins

ROOT = Path(__file__).parents[2]
SITE = pins((ROOT / "docs" / "requirements.lock").read_text())
OURS = pins((ROOT / "requirements.lock").read_text())


def versions(locked: list[Pin], name: str) -> set[str]:
    return {pin.version for pin in locked if pin.name == name}


def test_each_package_of_the_group_is_pinned_with_hashes() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    names = {re.split(r"[<>=]", each)[0] for each in groups["docs"]}
    assert names == {"furo", "myst-parser", "sphinx"}
    assert all(versions(SITE, name) for name in names)
    assert all(pin.hashes for pin in SITE)


def test_a_package_that_gameday_has_too_is_of_the_same_version() -> None:
    both = {pin.name for pin in SITE} & {pin.name for pin in OURS}
    assert "markdown-it-py" in both
    assert {name: versions(SITE, name) for name in both} == {
        name: versions(OURS, name) for name in both
    }
