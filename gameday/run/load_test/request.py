"""The load to send and its target: an experiment's traffic, or one scenario of a command line.

Both become the same two models that a run has, so the same rules hold: the limits of scenarios,
the thresholds' grammar, no address that is not this machine unless it is allowed. What a load
takes of this machine, and how many workers, is arithmetic that needs no sending.
"""

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from gameday.core import json as strict_json
from gameday.core.errors import FileError, UsageError
from gameday.core.network.allow_list import Allowed
from gameday.core.network.urls import Base
from gameday.core.secrets.redaction import Hidden
from gameday.core.units import Rate, format_duration
from gameday.spec.experiment import Expect, Experiment, Threshold
from gameday.spec.inputs import LoadedExperiment
from gameday.spec.request import IssueRequest, Match, OutcomeName
from gameday.spec.system import Requests, System
from gameday.spec.targets import refuse_foreign
from gameday.spec.tls import Tls
from gameday.spec.users import UserTable
from gameday.spec.users_hidden import hiding
from gameday.spec.yaml import Document, compose, one_of_them
from gameday.telemetry.latency_bounds import tightest_bound_ms
from gameday.traffic import thresholds
from gameday.traffic.capacity import calibration
from gameday.traffic.capacity.demand import Demand, demand_of
from gameday.traffic.capacity.machine import this_machine
from gameday.traffic.capacity.shortfalls import Shortfall, shortfalls
from gameday.traffic.forecast import scenarios_of
from gameday.traffic.rules import of_traffic

METHODS: Final = ("get", "post", "put", "patch", "delete")
NAME: Final = "traffic"
FINE: Final = "200-399"  # k6's own
_STATUSES: Final = re.compile(r"(\d{3})(?:-(\d{3}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """An experiment of which only the traffic counts, and a system of which only the request."""

    experiment: Experiment
    system: System
    workers: int
    document: Document | None = None  # of the file; a command line is none
    system_document: Document | None = None
    users: UserTable | None = None

    def hide(self, text: str) -> str:
        """A text without the secrets of the system file, and what its users file holds."""
        from gameday.injection.drivers.request import secrets_of  # httpx, which a refusal needs not

        known = Hidden(secrets_of(self.system, os.environ))
        return hiding(known, self.system.users, self.users)(text)

    def where(self, scenario: str) -> str:
        """The place of a scenario in the file, or its name; "" for all of them."""
        if self.document is not None:
            return str(self.document.place("traffic", *([scenario] if scenario else [])))
        return scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One request, as a command line names it."""

    url: str
    method: str | None = None
    body: str | None = None
    headers: Sequence[str] = ()
    expect: str = FINE
    timeout: timedelta = timedelta(seconds=10)
    insecure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OneScenario:
    """One scenario, as a command line names it: by rate, or as many as `vus` users ask."""

    duration: timedelta
    rate: Rate | None = None
    vus: int | None = None
    sleep: timedelta | None = None


def system_of(target: Target) -> System:
    """The system that a URL names. Raises UsageError."""
    base, path = _address(target.url)
    method = (target.method or ("post" if target.body is not None else "get")).lower()
    request = {
        method: path,
        "json": None if target.body is None else _json(target.body),
        "headers": dict(_header(text) for text in target.headers),
        "timeout": format_duration(target.timeout),
        "outcomes": _outcomes(target.expect),
    }
    try:
        issue = IssueRequest.model_validate(request)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(str(part) for part in found["loc"])
        raise UsageError(f"the request: {where}: {found['msg']}") from None
    return System(
        name=NAME,
        base_url=base,
        requests=Requests(issue=issue),
        tls=Tls(insecure=target.insecure),
    )


def _address(url: str) -> tuple[str, str]:
    """The base of a URL, and the path behind it. Raises UsageError."""
    try:
        parts = Base.parse(url, query=True)
    except UsageError as error:
        raise UsageError(f"--url: {error.message}", help=error.help) from None
    path = (parts.prefix or "/") + (f"?{parts.query}" if parts.query else "")
    return f"{parts.scheme}://{parts.authority}", path


def _json(text: str) -> Any:
    try:
        return strict_json.parse(text.encode("utf-8", "surrogatepass"))
    except strict_json.JsonError as error:
        problem = f"--json: {text[:80]!r} is {error.message}"
        help = 'quote it for the shell: --json \'{"userId": "{user}"}\''
        raise UsageError(problem, help=help) from None


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if any("\ud800" <= each <= "\udfff" for each in text):  # an invalid byte of the command line
        raise UsageError(f"--header: {text!r} is not UTF-8", help="write it in UTF-8")
    if not colon or not name.strip():
        raise UsageError(f"--header: {text!r} is no header", help="write 'Name: value'")
    return name.strip(), value.strip()


def _outcomes(expect: str) -> dict[OutcomeName, Match]:
    """Expected answers are `accepted`; other refusals surely had no effect, the rest is unknown."""
    expected = sorted({status for part in expect.split(",") for status in _statuses(part.strip())})
    refused = [status for status in range(400, 500) if status not in expected]
    outcomes: dict[OutcomeName, Match] = {"accepted": Match(status=[*expected])}
    if refused:
        outcomes["refused"] = Match(status=[*refused])
    return outcomes


def _statuses(text: str) -> range:
    match = _STATUSES.fullmatch(text)
    low, high = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 100 <= low <= high <= 599:
        raise UsageError(f"--expect: {text!r} is no HTTP status", help="write 200,409 or 200-299")
    return range(low, high + 1)


def experiment_of(scenario: OneScenario, users: int) -> Experiment:
    """One scenario of a command line as an experiment. Raises UsageError."""
    by_rate = scenario.rate is not None
    every = {
        "executor": "constant-arrival-rate" if by_rate else "constant-vus",
        "rate": None if scenario.rate is None else str(scenario.rate),
        "preAllocatedVUs" if by_rate else "vus": scenario.vus,
        "duration": format_duration(scenario.duration),
        "sleep": None if scenario.sleep is None else format_duration(scenario.sleep),
    }
    spec = {key: one for key, one in every.items() if one is not None}
    lines = [
        f"name: {NAME}",
        f"campaign: {json.dumps({'coupon': NAME, 'users': users})}",
        f"traffic: {json.dumps({NAME: spec})}",
    ]
    document = compose("\n".join(lines), "the command line")
    try:
        made = document.parse(Experiment)
        for wrong in of_traffic(document, made):
            if isinstance(wrong, FileError):
                raise wrong
    except FileError as error:
        raise UsageError(error.problem, help=error.help) from None
    return made


def check_traffic(loaded: LoadedExperiment) -> None:
    """The rules of the scenarios and thresholds of a file. Raises FileError at the first wrong."""
    experiment, document = loaded.experiment, loaded.document
    for found in of_traffic(document, experiment):
        if isinstance(found, FileError):
            raise found
    for key, texts in experiment.expect.threshold_texts.items():
        try:
            thresholds.check_metric(key, texts)
            _check_tags(key, experiment)
        except UsageError as error:
            where = ("expect", "thresholds", key)
            raise document.error(where, error.message, help=error.help) from None


def _check_tags(key: str, experiment: Experiment) -> None:
    """Raise UsageError for a scenario that is not sent, or a window: there is no fault."""
    tags = thresholds.parse_key(key).tags
    scenario = tags.get("scenario")
    if scenario is not None and scenario not in experiment.traffic:
        problem = f"{key!r}: there is no scenario {scenario!r}"
        raise UsageError(problem, help=one_of_them(scenario, experiment.traffic))
    if "window" in tags:
        problem = f"{key!r}: windows are before, during and after a fault, and here is none"
        raise UsageError(problem, help="drop the tag, or use gameday run")


def with_thresholds(
    experiment: Experiment, texts: Sequence[str], *, abort: bool, delay: timedelta
) -> Experiment:
    """The experiment with `metric:expression` thresholds added. Raises UsageError."""
    found: dict[str, list[str | Threshold]] = {
        k: list(v) for k, v in experiment.expect.thresholds.items()
    }
    for text in texts:
        metric, expression = _split(text)
        thresholds.check_metric(metric, [expression])
        _check_tags(metric, experiment)
        one = Threshold(threshold=expression, abortOnFail=True, delayAbortEval=delay)
        found.setdefault(metric, []).append(one if abort else expression)
    expect = Expect.model_validate({"thresholds": found})
    kept = experiment.expect.model_copy(update={"thresholds": expect.thresholds})
    return experiment.model_copy(update={"expect": kept})


def _split(text: str) -> tuple[str, str]:
    """`http_req_duration{scenario:a}:p(95)<200` → the metric, and the expression."""
    match = re.fullmatch(r"\s*([^:{]+(?:\{[^}]*\})?)\s*:(.*)", text)
    if match is None:
        help = "write METRIC:EXPRESSION, as http_req_duration:p(95)<200"
        raise UsageError(f"--threshold: {text!r} has no metric", help=help)
    return match[1].strip(), match[2].strip()


def refuse_strangers(system: System, allowed: Allowed, document: Document | None = None) -> None:
    """Refuse an address that is not this machine and not allowed. Raises UsageError.

    Only the address that traffic goes to counts: nothing else of the system is touched.
    """
    only = System(name=system.name, base_url=system.base_url, requests=system.requests)
    refuse_foreign(only, allowed, document=document)


def refuse_unwritable(paths: Iterable[Path | None]) -> None:
    """Refuse files that could not be written in the end, before a minute is spent on them.

    Raises UsageError.
    """
    for path in paths:
        if path is None or str(path) == "-":
            continue
        if path.is_dir():
            raise UsageError(f"{path} is a folder", help="name a file in it")
        if not path.parent.is_dir():
            raise UsageError(f"{path} cannot be written: there is no folder {path.parent}")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise UsageError(f"{path} cannot be written: permission denied")


def records_folder(folder: Path) -> Path:
    """The folder for the records in `folder`, which must not hold any yet. Raises UsageError."""
    history = folder / "history"
    if history.is_dir() and any(history.glob("*.bin")):
        raise UsageError(f"--out: {folder} holds records already", help="name a new folder")
    try:
        history.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out: {folder}: {error.strerror}") from error
    return history


def demand(load: Load) -> Demand:
    """The highest demand on the generator."""
    timeout_s = load.system.requests.longest_asked_s(load.experiment.mixes.values())
    return demand_of(scenarios_of(load.experiment), timeout_s)


def with_enough_workers(load: Load) -> Load:
    """The load with as many workers as its rate takes, each with a virtual user at least."""
    return replace(load, workers=calibration.workers_for(demand(load)))


def refuse_idle_workers(load: Load) -> None:
    """Raises UsageError where a worker would have no virtual user: its starts would be dropped."""
    fewest = demand(load).workers_most
    if fewest is not None and fewest < load.workers:
        raise UsageError(
            f"--workers {load.workers}: a scenario has {fewest} virtual users at most",
            help=f"--workers {fewest} at most, or leave it out",
        )


def lacking(load: Load) -> list[Shortfall]:
    """Resources of this machine that do not suffice."""
    known = calibration.known()
    kept_per_s = None if known is None else known.kept_per_s * load.workers
    bound_ms = tightest_bound_ms(load.experiment)
    bound_s = None if bound_ms is None else bound_ms / 1000
    return shortfalls(demand(load), this_machine(kept_per_s), bound_s)
