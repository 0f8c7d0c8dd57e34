"""The tutorial, followed: its files are written and its commands run, in an empty folder.

What the reader is to see is held against what comes: each line of a block of output by its first
two words. The commands that install gameday are what made the tests themselves possible.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INSTALLED: Final = ("make ", "source ")
LIMIT_S: Final = 180
SHELL = f'gameday() {{ {sys.executable} -m gameday "$@"; }}\nset -e\n'


def steps() -> list[tuple[str, str, str]]:
    """Every block in its order: language, file, text."""
    return BLOCK.findall(TUTORIAL)


def patched(text: str, diff: str) -> str:
    """The file after a reader replaced the lines with `-` by those with `+`."""
    old = "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] in " -")
    new = "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] in " +")
    assert text.count(old) == 1, "the diff does not fit the file above it"
    return text.replace(old, new)


def run(command: str, folder: Path) -> str:
    """What a block of commands prints; each must end well."""
    done = subprocess.run(
        ["bash", "-c", SHELL + command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state")},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def followed(folder: Path) -> Iterator[tuple[str, str]]:
    """The tutorial block by block: a command and what it printed."""
    here, printed = folder, ""
    for language, file, text in steps():
        if language in ("python", "yaml"):
            (here / file).write_text(text)
        elif language == "diff":
            path = here / file
            path.write_text(patched(path.read_text(), text))
        elif language == "sh":
            lines = [line for line in text.splitlines() if not line.startswith(INSTALLED)]
            printed = run("\n".join([*lines, f"pwd >{folder}/here"]), here)
            here = Path((folder / "here").read_text().strip())
            yield text, printed
        else:
            assert language == "text", "what is the reader to do with this?"
            for line in text.splitlines():
                first = r"\s+".join(map(re.escape, line.split()[:2]))
                assert re.search(rf"^{first}", printed, re.MULTILINE), f"{line!r} in\n{printed}"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_tutorial_leads_where_it_says(tmp_path: Path) -> None:
    said = dict(followed(tmp_path))
    results = [
        json.loads(path.read_text()) for path in sorted(tmp_path.glob("my-shop/runs/*/result.json"))
    ]
    first, second = sorted(results, key=lambda each: str(each["started_at"]))
    assert (first["verdict"], second["verdict"]) == ("failed", "passed")
    assert invalid(first) == ["no_over_issuance"]
    assert any("can begin" in text for text in said.values())
    assert any("before the last fault ends" in text for text in said.values())


def invalid(result: dict[str, Any]) -> list[str]:
    return [each["name"] for each in result["checks"] if each["verdict"] == "invalid"]


def test_the_tutorial_s_service_is_short() -> None:
    (service,) = [
        text for language, file, text in steps() if (language, file) == ("python", "shop.py")
    ]
    assert len(service.splitlines()) <= 70


def test_a_diff_that_does_not_fit_is_seen() -> None:
    assert patched("a\nb\nc\n", " a\n-b\n+x\n") == "a\nx\nc\n"
    with pytest.raises(AssertionError):
        patched("a\nc\n", " a\n-b\n+x\n")
