"""`gameday explain KEY`: what a key of a file means, from the schemas that read it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gameday.cli.terminal import echo
from gameday.core.errors import UsageError, excerpt, one_of_them
from gameday.core.files import is_file
from gameday.spec.shipped import EXPERIMENTS, PACKAGE, folders

if TYPE_CHECKING:
    from pydantic import BaseModel

    from gameday.cli.key_reference import Reference, Schema

_LINK: Final = re.compile(r"\[(`[^`]*`)\]\([^)]*\)")
_NAMES: Final = ("system", "experiment", "drill", "day", "playbook", "step", "settings")
_MOST: Final = 6  # of one word; more are named
_PREFIXES: Final = tuple(f"{name}." for name in _NAMES)


@dataclass(frozen=True, slots=True)
class Found:
    """A key: the kind of its file, its place in it, and its schema there."""

    kind: str
    place: str
    name: str
    schema: "Schema"
    reference: "Reference"


@click.command()
@click.argument("key")
def explain(key: str) -> None:
    r"""Tell what KEY means: a key of any file, the name of a fault, or a setting.

    Of several keys with one name all are told; a longer path names one of them.

    \b
      gameday explain per_user
      gameday explain requests.issue.outcomes
      gameday explain network.latency
    """
    fault = _fault(key)
    found = [] if fault else list(_found(key))
    if fault is None and not found:
        raise UsageError(f"no key {excerpt(key)!r} in any file", help=_near(key))
    for line in _fault_lines(fault) if fault else _lines(found):
        echo(line)


def _references() -> Iterator[tuple[str, "Reference"]]:
    """The schema of each kind of file."""
    from gameday.cli.key_reference import Reference
    from gameday.core import settings
    from gameday.spec.day import Day
    from gameday.spec.drill import Drill
    from gameday.spec.experiment import Experiment
    from gameday.spec.playbook import FrontMatter, StepBlock
    from gameday.spec.system import System
    from gameday.spec.yaml import load

    models: tuple[type[BaseModel], ...] = (System, Experiment, Drill, Day, FrontMatter, StepBlock)
    for kind, model in zip(_NAMES, models, strict=False):
        reference = Reference(model.model_json_schema(by_alias=True))
        for path in _examples(kind):
            reference.learn(load(path).plain())
        yield kind, reference
    yield "settings", Reference(settings.json_schema())


def _examples(kind: str) -> list[Path]:
    """Shipped files of a kind, whose values are examples of its keys."""
    if kind == "experiment":
        return [
            path for folder in folders(EXPERIMENTS)[-1:] for path in folder.glob("redis-*.yaml")
        ]
    own = PACKAGE.parent / "system_under_test" / "system.yaml"
    return [own] if kind == "system" and is_file(own) else []


def _found(key: str) -> Iterator[Found]:
    """Every key of that path from the top of a file, else every one whose path ends so."""
    wanted = key.removeprefix("--").replace("[]", "").strip(".")
    only = next((each for each in _PREFIXES if wanted.startswith(each)), "")
    if only:
        wanted = wanted.removeprefix(only)
    named = [(k, r) for k, r in _references() if not only or k == only[:-1]]
    steps = wanted.split(".")
    exact = [
        Found(kind, wanted, name, schema, reference)
        for kind, reference in named
        for name, schema in reference.at(steps)
    ]
    yield from exact or _ending(named, wanted)


def _ending(named: list[tuple[str, "Reference"]], wanted: str) -> Iterator[Found]:
    names = {place: name for _, r in named for name, place in r.places.items()}
    for kind, reference in named:
        for place, key, schema in reference.every_key():
            whole = f"{place}.{key}" if place else key
            plain = re.sub(r"\[\]|\.NAME|\s\([^)]*\)", "", whole)
            if plain == wanted or plain.endswith(f".{wanted}"):
                yield Found(kind, whole, names.get(place, ""), schema, reference)


def _near(key: str) -> str:
    """The nearest key, or what can be asked."""
    known = {each for _, r in _references() for _, each, _ in r.every_key()}
    near = one_of_them(key.rpartition(".")[2], known)
    return near if near.startswith("did you mean") else "gameday schema KIND has all keys of a file"


def _lines(found: list[Found]) -> Iterator[str]:
    for number, each in enumerate(found[:_MOST]):
        if number:
            yield ""
        yield from _of(each)
    if others := [f"{each.kind}.{each.place}" for each in found[_MOST:]]:
        yield ""
        yield f"and {', '.join(others)}"


def _of(found: Found) -> Iterator[str]:
    """The lines of one key."""
    from gameday.spec.pages import page_of

    reference, schema = found.reference, found.schema
    key = found.place.rpartition(".")[2]
    where = "settings" if found.kind == "settings" else f"{found.kind} file"
    yield f"{found.place}  ({where})"
    yield f"  {' '.join(reference.meaning(found.name, key, schema).split()) or 'a mapping'}"
    yield f"  type     {_plain(reference.type_of(schema))}"
    if schema.get("default") not in (None, {}, []):
        yield f"  default  {_plain(reference.default(schema))}"
    if example := reference.example(found.name, key, schema):
        yield f"  example  {key}: {example}"
    if keys := list(reference.inner_keys(schema)):
        yield f"  keys     {', '.join(keys)}"
    if page := page_of(found.place.split("."), found.kind):
        yield f"  page     {page}"


def _plain(markdown: str) -> str:
    """Markdown of the reference, for a terminal."""
    text = _LINK.sub(r"\1", markdown)
    return re.sub(r"\\([\\*_<>\[\]{}|#$~^])", r"\1", text).replace("`", "")


def _fault(key: str) -> Any:
    """The class of a fault of that name, None for anything else."""
    from gameday.spec.faults.catalogue import CLASSES, name_of

    return next((each for each in CLASSES if name_of(each) == key), None)


def _fault_lines(fault: Any) -> Iterator[str]:
    from gameday.cli.faults import lines
    from gameday.cli.key_reference import Reference, flow
    from gameday.spec.faults.catalogue import SHARED, name_of, plain_example

    name = name_of(fault)
    line = next(each for each in lines() if each.fault == name)
    yield f"{name}  (a fault: a line of `method` in an experiment)"
    yield f"  {' '.join((fault.__doc__ or '').split())}"
    yield f"  needs    {line.in_words}"
    schema = fault.model_json_schema(by_alias=True)
    reference = Reference(schema)
    for key, each in schema["properties"].items():
        if key not in SHARED:
            about = reference.meaning("", key, each)
            yield f"  {key:<8} {about} ({_plain(reference.type_of(each))})"
    yield f"  example  - {flow(plain_example(fault))}"
    yield "  page     docs/files.md"
