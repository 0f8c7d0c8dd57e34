"""A script's `options` as scenarios and thresholds of an experiment file.

What gameday has no word for is noted and left out; what k6 itself would refuse is an error at
the line of the script.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from gameday.core.errors import UsageError
from gameday.core.json import JsonError, parse
from gameday.core.json_objects import Json, plain
from gameday.spec.experiment import MOST_PARTS, AnyScenario
from gameday.traffic import thresholds
from gameday.traffic.k6.script import Notes, Script
from gameday.traffic.k6.units import duration_of, duration_text, rate_text

EXTRAS: Final = "GAMEDAY"
"""The scenario's `env` in which an exported script keeps what k6 has no word for."""

_SHORTHAND: Final = ("vus", "duration", "stages", "iterations")
_SILENT: Final = frozenset(
    {"scenarios", "thresholds", *_SHORTHAND, "discardResponseBodies", "summaryTrendStats"}
)
_DURATIONS: Final = ("startTime", "gracefulStop", "gracefulRampDown", "duration")
_COUNTS: Final = ("preAllocatedVUs", "maxVUs", "vus", "startVUs")
_KEYS: Final = {
    "constant-arrival-rate": ("rate", "duration", "preAllocatedVUs", "maxVUs"),
    "ramping-arrival-rate": ("startRate", "stages", "preAllocatedVUs", "maxVUs"),
    "constant-vus": ("vus", "duration"),
    "ramping-vus": ("startVUs", "stages", "gracefulRampDown"),
}
_COMMON: Final = ("executor", "startTime", "gracefulStop", "timeUnit", "exec", "env")
_SCENARIO: Final[TypeAdapter[Any]] = TypeAdapter(AnyScenario)


@dataclass(frozen=True, slots=True)
class WrittenStage:
    """A stage as a file or a script has it."""

    target: int | str
    duration: str


@dataclass(slots=True, kw_only=True)
class WrittenScenario:
    """A scenario as an experiment file or a script has it, its keys in the order of a file.

    A script's rates are numbers by `timeUnit`, a file's are texts.
    """

    executor: str
    exec: str | None = None
    startTime: str | None = None
    rate: int | str | None = None
    startRate: int | str | None = None
    timeUnit: str | None = None
    vus: int | None = None
    startVUs: int | None = None
    duration: str | None = None
    stages: list[WrittenStage] | None = None
    preAllocatedVUs: int | None = None
    maxVUs: int | None = None
    gracefulRampDown: str | None = None
    gracefulStop: str | None = None
    population: object = None
    retries: object = None
    sleep: str | None = None
    env: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenThreshold:
    """A threshold that may end the traffic, as both have it."""

    threshold: str
    abortOnFail: bool
    delayAbortEval: str | None = None


@dataclass(slots=True)
class Taken:
    """The scenarios by their new names, as a file writes them, and the function each one runs."""

    traffic: dict[str, WrittenScenario] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)


def take_scenarios(script: Script, notes: Notes) -> Taken:
    """Every scenario that gameday has a word for. Raises FileError where there is none."""
    taken = Taken()
    for key in script.options:
        if key not in _SILENT:
            notes.add(script.line_of("options", key), f"the option {key!r} has no counterpart")
    for name, spec in _given(script).items():
        where = ("scenarios", name) if "scenarios" in script.options else ("options",)
        _take_one(script, name, where, spec, taken=taken, notes=notes)
    if not taken.traffic:
        why = "; ".join(note.text for note in notes.in_order) or "there are none"
        help = f"gameday takes {', '.join(_KEYS)}"
        raise script.error_at(("options",), f"no scenario can be taken over: {why}", help=help)
    return taken


def _given(script: Script) -> Json:
    """The scenarios as k6 understands them, its shorthand included."""
    options = script.options
    scenarios = options.get("scenarios")
    if scenarios is not None:
        if not isinstance(scenarios, dict):
            raise script.error_at(("scenarios",), f"'scenarios' is no object: {scenarios!r}")
        if len(scenarios) > MOST_PARTS:
            raise script.error_at(("scenarios",), f"'scenarios': more than {MOST_PARTS}")
        return scenarios
    if options.get("stages"):
        start = options.get("vus", 1)
        return {
            "default": {"executor": "ramping-vus", "startVUs": start, "stages": options["stages"]}
        }
    if "duration" in options:
        spec = {"executor": "constant-vus", "duration": options["duration"]}
        return {"default": {**spec, "vus": options.get("vus", 1)}}
    if "iterations" in options or "vus" in options:
        return {"default": {"executor": "shared-iterations"}}
    return {}


def _take_one(
    script: Script, name: str, where: tuple[str, ...], spec: Any, *, taken: Taken, notes: Notes
) -> None:
    if not isinstance(spec, dict):
        raise script.error_at(where, f"scenario {name!r} is no object: {spec!r}")
    executor = spec.get("executor")
    if not isinstance(executor, str) or executor not in _KEYS:
        notes.add(
            script.line_of(*where), f"scenario {name!r}: gameday has no executor {executor!r:.100}"
        )
        return
    known = {*_COMMON, *_KEYS[executor]}
    for key in spec.keys() - known:
        text = f"scenario {name!r}: {key!r} has no counterpart"
        notes.add(script.line_of(*where, key), text)
    try:
        made = _made(spec, executor, notes, script.line_of(*where))
        _SCENARIO.validate_python(plain(made))
    except ValidationError as error:
        found = error.errors()[0]
        at = [str(part) for part in found["loc"] if part != executor]
        problem = f"scenario {name!r}: {'.'.join(at)}: {found['msg']}, {found['input']!r}"
        raise script.error_at((*where, *at[:1]), problem) from None
    except ValueError as error:
        raise script.error_at(where, f"scenario {name!r}: {error}") from None
    ours = _new_name(name, taken)
    if ours != name:
        notes.add(script.line_of(*where), f"scenario {name!r} is called {ours!r} here")
    taken.traffic[ours], taken.renamed[name] = made, ours
    taken.functions[ours] = str(spec.get("exec", "default"))


def _made(spec: Json, executor: str, notes: Notes, line: int) -> WrittenScenario:
    """One scenario in gameday's words. Raises ValueError."""
    made = WrittenScenario(executor=executor)
    unit = duration_of(spec.get("timeUnit", "1s"))

    def rate(count: Any) -> str:
        text, exact = rate_text(count, unit)
        if not exact:
            notes.add(line, f"{count} per {spec.get('timeUnit')} is rounded to {text}")
        return text

    level = rate if executor == "ramping-arrival-rate" else _whole
    turn: dict[str, Callable[[Any], Any]] = {
        **dict.fromkeys(("rate", "startRate"), rate),
        **dict.fromkeys(_DURATIONS, duration_text),
        **dict.fromkeys(_COUNTS, _whole),
        "stages": lambda stages: [_stage(one, level) for one in _listed(stages)],
    }
    for key in ("startTime", *_KEYS[executor], "gracefulStop"):
        if spec.get(key) is not None:
            setattr(made, key, turn[key](spec[key]))
    _add_extras(made, spec.get("env"), notes, line)
    return made


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"'stages': {value!r} is no list")  # noqa: TRY004 - a bad script is no bug
    return value


def _stage(stage: Any, level: Callable[[Any], int | str]) -> WrittenStage:
    if not isinstance(stage, dict) or {"target", "duration"} - stage.keys():
        raise ValueError(f"{stage!r} is no stage: it needs a target and a duration")
    return WrittenStage(level(stage["target"]), duration_text(stage["duration"]))


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise ValueError(f"{value!r} is no whole number")
    return int(value)


def _add_extras(made: WrittenScenario, env: Any, notes: Notes, line: int) -> None:
    """Add the settings that an exported script kept of its experiment beside k6's own options."""
    if not isinstance(env, dict):
        return
    for key in env.keys() - {EXTRAS}:
        notes.add(line, f"'env' {key!r} of the scenario is not set for gameday")
    try:
        extras = parse(env.get(EXTRAS, "{}").encode())
    except (AttributeError, UnicodeError, JsonError):
        given = f"{env[EXTRAS]!r:.100}"
        raise ValueError(f"'env' {EXTRAS!r} is not what gameday wrote: {given}") from None
    if not isinstance(extras, dict):
        raise ValueError(f"'env' {EXTRAS!r} is not what gameday wrote: {extras!r:.100}")  # noqa: TRY004 - a bad script is no bug
    if extras.pop("limit", True) is False:
        made.preAllocatedVUs = made.maxVUs = None
    made.population, made.retries = extras.get("population"), extras.get("retries")


def _new_name(name: str, taken: Taken) -> str:
    """A name as gameday takes it: small letters, digits and dashes, not yet given."""
    plain = re.sub(r"[^a-z0-9]+", "-", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower())
    ours = free = plain.strip("-")[:60] or "scenario"
    number = 1
    while free in taken.traffic:
        number += 1
        free = f"{ours}-{number}"
    return free


def take_thresholds(
    script: Script, renamed: Mapping[str, str], notes: Notes
) -> dict[str, list[str | WrittenThreshold]]:
    """The thresholds on metrics that gameday has."""
    given = script.options.get("thresholds") or {}
    if not isinstance(given, dict):
        raise script.error_at(("thresholds",), f"'thresholds' is no object: {given!r}")
    taken: dict[str, list[str | WrittenThreshold]] = {}
    for key, wanted in given.items():
        where = script.line_of("thresholds", key)
        texts = wanted if isinstance(wanted, list) else [wanted]
        try:
            ours, kept = _threshold(_renamed(key, renamed), texts)
        except (UsageError, ValueError) as error:
            message = error.message if isinstance(error, UsageError) else str(error)
            notes.add(where, f"threshold {key!r} has no counterpart: {message}")
            continue
        if ours != _renamed(key, renamed):
            notes.add(where, f"threshold {key!r} is kept as {ours!r}: what a check asks for fails")
        taken.setdefault(ours, []).extend(kept)
    return taken


def _renamed(key: str, renamed: Mapping[str, str]) -> str:
    def one(match: re.Match[str]) -> str:
        return f"{match[1]}{renamed.get(match[2], match[2])}"

    return re.sub(r"(\bscenario\s*:\s*)([\w-]+)", one, key)


def _threshold(key: str, given: list[Any]) -> tuple[str, list[str | WrittenThreshold]]:
    """The metric, and its thresholds as a file writes them. Raises UsageError and ValueError."""
    ours = "http_req_failed" if key == "checks" else key
    kept: list[str | WrittenThreshold] = []
    texts: list[str] = []
    for one in given:
        text = one.get("threshold") if isinstance(one, dict) else one
        if not isinstance(text, str):
            raise ValueError(f"{one!r} is no threshold")  # noqa: TRY004 - a bad script is no bug
        texts.append(_of_checks(text) if key == "checks" else text)
        kept.append(_aborting(texts[-1], one) if isinstance(one, dict) else texts[-1])
    thresholds.check_metric(ours, texts)
    return ours, kept


def _of_checks(text: str) -> str:
    """k6's share of checks that held, as the share of requests that failed."""
    asked = thresholds.parse(text)
    turned = {">": "<", ">=": "<=", "<": ">", "<=": ">="}.get(asked.op, asked.op)
    return f"rate{turned}{round(1 - asked.bound, 9):g}"


def _aborting(text: str, given: Json) -> str | WrittenThreshold:
    delay = given.get("delayAbortEval") or 0
    late = duration_text(delay) if duration_of(delay) > timedelta(0) else None
    if not given.get("abortOnFail"):
        return text
    return WrittenThreshold(threshold=text, abortOnFail=True, delayAbortEval=late)
