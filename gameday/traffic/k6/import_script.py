"""A k6 script becomes an experiment file: scenarios, thresholds, the sleep, and what was lost.

The file holds the traffic. The request itself belongs into a system file, or on the command line
of `gameday traffic`, which stands at the head of the file as a comment, together with everything
that could not be taken over.
"""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import yaml

from gameday.core.errors import FileError
from gameday.core.json_objects import plain
from gameday.core.units import format_duration
from gameday.spec.experiment import Experiment
from gameday.spec.yaml import compose
from gameday.traffic.k6.requests import ScriptRequest, sleep_of, take_request
from gameday.traffic.k6.scenarios import (
    Taken,
    WrittenScenario,
    WrittenThreshold,
    take_scenarios,
    take_thresholds,
)
from gameday.traffic.k6.script import Note, Notes, Script, read_script
from gameday.traffic.rules import of_traffic

_COUPON_KEY: Final = re.compile(
    r"coupon|voucher|promo|campaign|event|item|product|sku|code", re.IGNORECASE
)
_COUPON: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_WIDEST: Final = 10_000  # so that no line is broken
DEFAULT_COUPON: Final = "IMPORTED"
DEFAULT_USERS: Final = 100_000  # where a script does not say; more than most tests have starts
MOST_STOCK: Final = 100_000_000  # beyond any load test: such a stock never sells out


@dataclass(frozen=True, slots=True)
class Imported:
    """The experiment file, the command that sends its traffic, and what there is to say."""

    yaml: str
    command: str
    notes: tuple[Note, ...]


def import_script(path: Path, name: str, env: Mapping[str, str]) -> Imported:
    """Read the script at `path` into an experiment called `name`. Raises UsageError."""
    script, notes = read_script(path, env), Notes()
    _tell_facts(script, notes)
    taken = take_scenarios(script, notes)
    kept = take_thresholds(script, taken.renamed, notes)
    _add_sleeps(script, taken, notes)
    functions = list(dict.fromkeys(taken.functions.values()))
    asked = take_request(script, functions, notes)
    stock = min((asked and asked.users) or DEFAULT_USERS, MOST_STOCK)
    notes.add(0, f"the stock of {stock} coupons is a guess: the script says nothing of one")
    told = tuple(notes.in_order)
    command = "" if asked is None else _command(name, asked)
    text = _head(script, command, told) + _file(name, script, taken, kept, asked)
    _must_be_valid(text, script, taken)
    return Imported(text, command, told)


def _tell_facts(script: Script, notes: Notes) -> None:
    for name in ("setup", "teardown"):
        if name in script.functions:
            notes.add(script.line_of(name), f"{name}() is not run")
    for noted in script.facts.refused:
        notes.add(noted.line, f"{noted.what} is refused: no file is read")
    for noted in script.facts.env:
        notes.add(noted.line, f"__ENV.{noted.what} is not set: give it with --env {noted.what}=…")
    for noted in script.facts.modules:
        notes.add(noted.line, f"the module {noted.what!r} is not here")
    for noted in script.facts.metrics:
        notes.add(noted.line, f"the metric {noted.what!r} is the script's own: it is not kept")


def _add_sleeps(script: Script, taken: Taken, notes: Notes) -> None:
    for name, function in taken.functions.items():
        runs = script.iterations.get(function)
        if runs is None:
            continue
        slept = sleep_of(runs, notes)
        if slept > timedelta(0):
            taken.traffic[name].sleep = format_duration(slept)


def _command(name: str, asked: ScriptRequest) -> str:
    words = ["gameday", "traffic", f"{name}.yaml", "--url", asked.url]
    if asked.method != ("GET" if asked.json is None else "POST"):
        words += ["--method", asked.method]
    if asked.json is not None:
        words += ["--json", json.dumps(asked.json, ensure_ascii=False)]
    for header, value in asked.headers.items():
        words += ["--header", f"{header}: {value}"]
    if asked.expect:
        ranges = (f"{low}" if low == high else f"{low}-{high}" for low, high in asked.expect)
        words += ["--expect", ",".join(ranges)]
    if asked.timeout is not None:
        words += ["--timeout", format_duration(asked.timeout)]
    return shlex.join(words)


def _head(script: Script, command: str, told: tuple[Note, ...]) -> str:
    """Comments at the top of the file: its source, its command, and the notes."""
    lines = [f"Taken from the k6 script {Path(script.file).name} by `gameday traffic import`."]
    if command:
        lines += ["Its request is sent by:", f"  {command}"]
    if told:
        lines += ["What was changed, or could not be taken over:", *(f"  {note}" for note in told)]
    return "".join(f"# {_one_line(line)}\n" for line in lines) + "\n"


def _one_line(text: str) -> str:
    """Nothing a script says ends a comment."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _file(
    name: str,
    script: Script,
    taken: Taken,
    kept: Mapping[str, list[str | WrittenThreshold]],
    asked: ScriptRequest | None,
) -> str:
    coupon = _coupon(None if asked is None else asked.json) or DEFAULT_COUPON
    users = (None if asked is None else asked.users) or DEFAULT_USERS
    campaign = {"coupon": coupon, "stock": min(users, MOST_STOCK), "users": users}
    lines = [
        f"name: {name}",
        f"title: {_flow(f'The traffic of {Path(script.file).name}')}",
        f"campaign: {_flow(campaign)}",
        "traffic:",
        *(line for each, spec in taken.traffic.items() for line in _scenario(each, spec)),
    ]
    if kept:
        lines += ["expect:", "  thresholds:"]
        lines += [f"    {_flow(key)}: {_flow(texts)}" for key, texts in kept.items()]
    return "\n".join(lines) + "\n"


def _scenario(name: str, spec: WrittenScenario) -> list[str]:
    """One scenario: on one line, its stages one below the other."""
    if spec.stages is None:
        return [f"  {name}: {_flow(spec)}"]
    others = plain(replace(spec, stages=None))
    listed = [f"      - {_flow(stage)}" for stage in spec.stages]
    named = [f"    {key}: {_flow(value)}" for key, value in others.items()]
    return [f"  {name}:", *named, "    stages:", *listed]


def _flow(value: object) -> str:
    """YAML on one line."""
    text: str = yaml.safe_dump(
        plain(value), default_flow_style=True, width=_WIDEST, sort_keys=False, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _coupon(body: Any) -> str | None:
    """The code that every request names, where one is found."""
    for key, value in body.items() if isinstance(body, dict) else ():
        if isinstance(value, str) and _COUPON_KEY.search(key) and _COUPON.fullmatch(value):
            return value
    return None


def _must_be_valid(text: str, script: Script, taken: Taken) -> None:
    """Refuse a result that does not load again. Raises FileError at the line of the script."""
    document = compose(text, script.file)
    try:
        made = document.parse(Experiment)
    except FileError as error:
        problem = f"what it asks for is no experiment: {error.problem}"
        raise script.error(0, problem, help=error.help) from error
    names = {ours: theirs for theirs, ours in taken.renamed.items()}
    for ours in made.traffic:
        alone = made.model_copy(update={"traffic": {ours: made.traffic[ours]}})
        for wrong in of_traffic(document, alone):
            if isinstance(wrong, FileError):
                key = wrong.problem.split("'")[1]
                line = script.line_of("options", "scenarios", names[ours], key)
                raise script.error(line, f"scenario {names[ours]!r}: {wrong.problem}")
    for wrong in of_traffic(document, made):
        if isinstance(wrong, FileError):
            raise script.error(script.line_of("options"), wrong.problem, help=wrong.help)
