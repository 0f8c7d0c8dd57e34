"""The glossary of docs/korean.md: one Korean word for one English term, everywhere."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from gameday.console.assets import PAGE
from gameday.core.messages import templates

ROOT = Path(__file__).parents[2]


def rows() -> Iterator[tuple[str, list[str], list[str]]]:
    """English, the Korean words, and those that are not used."""
    for line in (ROOT / "docs" / "korean.md").read_text().splitlines():
        cells = [each.strip() for each in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 3 and re.search("[가-힣]", cells[2]):
            english, used, unused = cells
            if english != "English":
                yield english, re.split(r", | / ", used), unused.split(", ")


def texts() -> Iterator[tuple[str, str]]:
    """Every Korean text that people read, with where it stands."""
    yield from templates("ko").items()
    yield from json.loads((PAGE / "locale" / "ko.json").read_text()).items()
    for path in sorted((ROOT / "playbooks").glob("*.ko.md")):
        yield path.name, path.read_text()


def test_a_word_that_the_glossary_rules_out_is_nowhere() -> None:
    ruled_out = [word for _, _, unused in rows() for word in unused]
    assert len(ruled_out) > 30
    found = [(word, where) for where, text in texts() for word in ruled_out if word in text]
    assert found == []


def test_every_word_of_the_glossary_is_used() -> None:
    whole = "\n".join(text for _, text in texts())
    never = [word for _, used, _ in rows() for word in used if word not in whole]
    assert never == []


def test_the_console_asks_politely_and_in_one_manner() -> None:
    asked = json.loads((PAGE / "locale" / "ko.json").read_text())
    assert not [id_ for id_, text in asked.items() if "십시오" in text]
