"""The files that the pages show: each is read by the loader that reads such a file."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from gameday.plan.validate import validate, validate_system
from gameday.spec.day_files import load_day
from gameday.spec.experiment import Experiment
from gameday.spec.inputs import gather, load_experiment, load_system
from gameday.spec.playbook import read_markdown
from gameday.spec.system import System

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^(`{3,})([a-z]+)(?: ([^\n]*))?\n(.*?)^\1$", re.DOTALL | re.MULTILINE)
SYSTEM = """name: own
base_url: http://127.0.0.1:8080
requests: {issue: {get: /, outcomes: {accepted: {status: 200}}}}
"""
EXPERIMENT = """name: own
campaign: {stock: 100000}
traffic: {some: {executor: constant-arrival-rate, rate: 10/s, duration: 90s}}
method: [{fault: traffic.spike, id: first, rate: 20/s, at: 10s, duration: 10s}]
"""
NOT_OURS = {"services", "status"}  # a compose file; the head of a draft, which reports make


class Block(NamedTuple):
    """A fenced block of a page: its language, the words behind it, and its text."""

    page: Path
    language: str
    words: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}: {self.words or self.text.splitlines()[0][:40]}"


def blocks(*languages: str) -> list[Block]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [
        Block(page, language, words, text)
        for page in pages
        for _, language, words, text in BLOCK.findall(page.read_text())
        if language in languages
    ]


def test_the_pages_show_files_of_every_kind() -> None:
    keys = {key for block in blocks("yaml") for key in _keys(block.text)}
    assert {"traffic", "base_url", "agenda", "apiVersion", "expect", "toxiproxy"} <= keys
    assert PLAYBOOKS


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_a_file_that_a_page_shows_is_taken_by_its_loader(block: Block, tmp_path: Path) -> None:
    keys = _keys(block.text)
    if "apiVersion" in keys:
        for each in yaml.safe_load_all(block.text):
            kubernetes_validate.validate(each, "1.30", strict=True)
    elif not keys & NOT_OURS:
        _read(block, keys, tmp_path)


PLAYBOOKS = [each for each in blocks("markdown") if each.text.startswith("---")]


@pytest.mark.parametrize("block", PLAYBOOKS, ids=str)
def test_a_playbook_that_a_page_shows_is_taken_by_its_reader(block: Block) -> None:
    book, _, _ = read_markdown(block.text, str(block.page))
    assert book.steps


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_that_a_page_shows_is_json(block: Block) -> None:
    for line in re.split(r"\n(?=\{)", block.text.strip()):
        json.loads(line)


def _keys(text: str) -> set[str]:
    return set(re.findall(r"^([A-Za-z_]\w*):", text, re.MULTILINE))


def _read(block: Block, keys: set[str], folder: Path) -> None:
    """Read a block by the loader of its kind; a part of a file, in the smallest that holds it."""
    if "agenda" in keys:
        _read_day(block.text, folder)
    elif "base_url" in keys or keys <= set(_aliases(System)):
        for each in blocks("text"):  # the users of the page; no highlighter knows CSV
            if each.page == block.page:
                _written(folder, "users.csv", each.text)
        text = block.text if "base_url" in keys else SYSTEM + block.text
        validate_system(load_system(_written(folder, "system.yaml", text)))
    else:
        assert "traffic" in keys or keys <= set(_aliases(Experiment)), "what file is this?"
        _read_experiment(block, keys, folder)


def _read_experiment(block: Block, keys: set[str], folder: Path) -> None:
    """The experiment against the system file of its page, or the shipped one."""
    beside = [each.text for each in blocks("yaml") if each.page == block.page]
    systems = [text for text in beside if "base_url" in _keys(text)]
    text = block.text if "traffic" in keys else EXPERIMENT + block.text
    path = _written(folder, f"{_name(text)}.yaml", text)
    loaded = load_experiment(str(path))
    if "traffic" not in keys:
        return  # the alerts and actions that a part names are its reader's
    mapped = any("services" in _keys(text) for text in beside)  # --service-map makes the proxies
    proxies = "proxies: {redis: redis}\ntoxiproxy: http://127.0.0.1:8474\n" if mapped else ""
    system = _written(folder, "system.yaml", systems[0] + proxies)
    for warning in validate(gather(loaded, load_system(system))):
        assert re.search("the stock|no `audit`", str(warning)), "a page shows what is warned of"


def _read_day(text: str, folder: Path) -> None:
    """A day whose experiments and system are shipped ones."""
    (folder / "holidays.ics").write_bytes(ICS)
    (folder / "is-release-day").write_text("#!/bin/sh\nexit 1\n")
    (folder / "is-release-day").chmod(0o755)
    path = _written(folder, f"{_name(text)}.yaml", text)
    day = load_day(str(path)).day
    assert day.agenda


ICS = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nEND:VCALENDAR\r\n"


def _aliases(model: type[Any]) -> Iterator[str]:
    for name, each in model.model_fields.items():
        yield each.alias or name


def _name(text: str) -> str:
    found: str = yaml.safe_load(text)["name"]
    return found


def _written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path
