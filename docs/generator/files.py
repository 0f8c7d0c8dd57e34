"""The pages of the files that people write: experiment, drill, system, playbook, game day."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args

import yaml

from gameday.cli.key_markdown import code
from gameday.cli.key_reference import Reference
from gameday.spec.day import Day
from gameday.spec.drill import Drill
from gameday.spec.experiment import Experiment
from gameday.spec.faults import AnyFault
from gameday.spec.playbook import FrontMatter, StepBlock, read_markdown
from gameday.spec.system import System

ROOT: Final = Path(__file__).resolve().parents[2]
FAULTS: Final = {each.__name__: "[a fault](faults.md)" for each in get_args(get_args(AnyFault)[0])}
_YAML: Final = re.compile(r"^```yaml[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
_OVERLAYS: Final = ("short", "drill")


@cache
def shipped(*patterns: str) -> list[Any]:
    """The shipped files of a kind, as plain data."""
    paths = [path for pattern in patterns for path in sorted(ROOT.glob(pattern))]
    return [yaml.safe_load(path.read_text()) for path in paths]


def of_pages(key: str) -> Iterator[Any]:
    """The YAML blocks of the pages that have this key: a test holds them against the loaders."""
    for page in sorted((ROOT / "docs").glob("*.md")):
        for text in _YAML.findall(page.read_text()):
            if re.search(rf"^{key}:", text, re.MULTILINE):
                yield yaml.safe_load(text)


def experiment() -> Reference:
    """The experiment's keys; a `short` or `drill` form shows the same keys in use."""
    found = Reference(Experiment.model_json_schema(by_alias=True), FAULTS)
    for each in (files := shipped("experiments/*.yaml")):
        found.learn(each)
    for each in files:
        for overlay in _OVERLAYS:
            found.learn(each.get(overlay))
    return found


def drill() -> Reference:
    """The keys that only `drill:` of an experiment has."""
    found = Reference(Drill.model_json_schema(by_alias=True))
    for each in shipped("experiments/*.yaml"):
        found.learn(each.get("drill"))
    return found


def system() -> Reference:
    """The system file's keys."""
    found = Reference(System.model_json_schema(by_alias=True))
    for each in shipped("system_under_test/system.yaml", "examples/*/system.yaml"):
        found.learn(each)
    return found


def day() -> Reference:
    """The keys of a game day's file."""
    found = Reference(Day.model_json_schema(by_alias=True))
    for each in (*shipped("gamedays/*.yaml"), *of_pages("agenda")):
        found.learn(each)
    return found


def playbook() -> tuple[Reference, Reference]:
    """The keys of a playbook's head, and of the block of a step."""
    head, step = (
        Reference(each.model_json_schema(by_alias=True)) for each in (FrontMatter, StepBlock)
    )
    for path in sorted((ROOT / "playbooks").glob("*.md")):
        if "." in path.stem:
            continue
        _, front, blocks = read_markdown(path.read_text(), str(path))
        head.learn(front.plain())
        for each in blocks.values():
            step.learn(each.plain())
    return head, step


def experiment_page() -> str:
    """The page of an experiment file."""
    return _page(
        "The experiment file",
        "experiment",
        experiment(),
        ["A whole one, shipped as `experiments/redis-slow.yaml`, is read best beside this page."],
    )


def drill_page() -> str:
    """The page of what a drill adds to an experiment."""
    told = "These keys stand under `drill:` of an experiment, beside its own that are replaced."
    return _page("The drill of an experiment", "drill", drill(), [told])


def system_page() -> str:
    """The page of a system file."""
    told = (
        "A whole one is `system_under_test/system.yaml`. See [Your own system](../own-system.md)."
    )
    return _page("The system file", "system", system(), [told])


def day_page() -> str:
    """The page of a game day's file."""
    return _page("The game-day file", "day", day(), ["The shipped ones lie in `gamedays/`."])


def playbook_page() -> str:
    """The page of a playbook: its head and its steps."""
    head, step = playbook()
    lines = ["# The playbook\n"]
    lines.append("Markdown with a head between `---` lines, and numbered steps. ")
    lines.append("How one is written: [Writing a playbook](../playbooks.md).\n")
    lines += ["## The head\n", *_without_heading(head)]
    lines += ["## A step\n", "The fenced block `yaml step` inside a numbered item.\n"]
    lines += _without_heading(step)
    return "\n".join(lines)


def _page(title: str, kind: str, reference: Reference, intro: Iterable[str]) -> str:
    lines = [f"# {title}\n", *(f"{each}\n" for each in intro)]
    lines.append(f"As a JSON Schema, for an editor: {code(f'gameday schema {kind}')}.\n")
    lines += reference.sections()
    return "\n".join(lines)


def _without_heading(reference: Reference) -> list[str]:
    return list(reference.sections())
