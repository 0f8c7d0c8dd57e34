"""Surroundings of a playbook: everything that it may name, as the project has it now."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from gameday.core import files
from gameday.core.errors import FileError, GamedayError
from gameday.plan.rules.expressions import TRAFFIC_METRICS
from gameday.spec.inputs import LoadedSystem
from gameday.spec.request import Request
from gameday.spec.shipped import all_days, all_experiments, all_playbooks
from gameday.spec.system import System
from gameday.spec.yaml import load, load_documents, read_bytes
from gameday.telemetry.alerts.rules import AlertRule, RecordingRule, RuleFile, load_rules
from gameday.telemetry.promql import PromqlError, parse

OF_PROMETHEUS: Final = frozenset({"up", "ALERTS", "ALERTS_FOR_STATE"})
_COMPOSE: Final = ("compose.yml", "compose.yaml", "docker-compose.yml", "docker-compose.yaml")
_SAMPLE: Final = re.compile(r"([a-zA-Z_:][\w:]*)(\{[^}\n]*\})?[ \t]", re.ASCII)
_LABEL: Final = re.compile(r'([a-zA-Z_]\w*)="([^"]*)"', re.ASCII)
_FAMILY: Final = re.compile(r"_(?:bucket|sum|count|total)\Z")
_NUMBER: Final = re.compile(r"(?<![\d.])(\d{2,5})(?![\d.])")
_RULES: Final = re.compile(rb"^[\"']?rules[\"']?\s*:", re.MULTILINE)
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1", "0.0.0.0"})


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a command line: what the command calls it, and what is written."""

    command: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Understood:
    """A command line as the program would take it: what is wrong with it, or its arguments."""

    problem: str = ""
    value: str = ""
    arguments: Sequence[Argument] = ()


Labels = Mapping[str, frozenset[str]]
CommandLine = Callable[[Sequence[str]], Understood]


def no_commands(_words: Sequence[str]) -> Understood:
    """Understand every command line: where nobody knows the commands."""
    return Understood()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """All that a playbook may name. `metrics` are names with their labels and the values of each.

    They are all there are where the system has a `catalogue` (`complete`); else some of them, and
    only a name that is nearly one of them is wrong.
    """

    metrics: Mapping[str, Labels]
    complete: bool
    alerts: Mapping[str, frozenset[str]]
    knows_alerts: bool
    actions: frozenset[str]
    requests: Sequence[tuple[str, Request]]
    bases: frozenset[tuple[str, int]]
    hosts: frozenset[str]
    ports: frozenset[int]
    services: frozenset[str]
    experiments: frozenset[str]
    days: frozenset[str]
    playbooks: frozenset[str]
    understand: CommandLine = field(default=no_commands)

    @property
    def families(self) -> frozenset[str]:
        """Names of metrics without the endings of their series: how people call a histogram."""
        return frozenset(_FAMILY.sub("", name) for name in self.metrics)

    @property
    def prefixes(self) -> frozenset[str]:
        """The first words of the system's metrics, as `issuance` of `issuance_in_flight`."""
        own = (name for name in self.metrics if name not in OF_PROMETHEUS and "_" in name)
        return frozenset(name.partition("_")[0] for name in own)


def surroundings(loaded: LoadedSystem, understand: CommandLine = no_commands) -> Surroundings:
    """Everything around the playbooks of a system. Raises FileError for a broken catalogue."""
    system, folder = loaded.system, loaded.path.parent
    own, others = _rules(loaded)
    compose = _compose(folder)
    metrics = catalogued(loaded)
    known = {**_named(system, [*own, *others]), **metrics}
    ends = list(_ends(system))
    return Surroundings(
        metrics=known,
        complete=bool(metrics),
        alerts=_alerts([*own, *others]),
        knows_alerts=bool(own) and system.prometheus is None,
        actions=frozenset([*system.actions, *system.scale]),
        requests=list(_requests(system)),
        bases=frozenset((host, port) for key, host, port in ends if key in _OWN),
        hosts=frozenset([*LOOPBACK, *(host for _, host, _ in ends), *compose]),
        ports=frozenset(
            [
                *(port for _, _, port in ends),
                *(port for ports in compose.values() for port in ports),
            ]
        ),
        services=frozenset(compose),
        experiments=frozenset(path.stem for path in all_experiments()),
        days=frozenset(path.stem for path in all_days()),
        playbooks=frozenset(path.stem for path in all_playbooks()),
        understand=understand,
    )


_OWN: Final = ("base_url", "admin_url", "metrics")


def _rules(loaded: LoadedSystem) -> tuple[list[RuleFile], list[RuleFile]]:
    """The rule files of the system, then those of experiments; broken ones are told elsewhere."""
    own = [loaded.path.parent / rule for rule in loaded.system.rules]
    others: dict[Path, None] = {}
    for path in all_experiments():
        try:
            if not _RULES.search(read_bytes(path)):
                continue
            step = load(path).root.child("rules")
        except GamedayError:
            continue
        rules = step[1].plain() if step is not None else None
        for rule in rules if isinstance(rules, list) else ():
            others[(path.parent / str(rule)).resolve()] = None
    return list(_read_rules(own)), list(_read_rules(list(others)))


def _read_rules(paths: Sequence[Path]) -> Iterator[RuleFile]:
    for path in paths:
        try:
            yield load_rules(path)
        except FileError:
            continue


def _alerts(rules: Sequence[RuleFile]) -> dict[str, frozenset[str]]:
    """Every alert, and the severities that its rules give it; of the first file that has it."""
    found: dict[str, frozenset[str]] = {}
    for file in rules:
        of_file: dict[str, set[str]] = {}
        for rule in file.alerts:
            severity = dict(rule.labels).get("severity")
            of_file.setdefault(rule.alert, set()).update([severity] if severity else [])
        found = {**{name: frozenset(each) for name, each in of_file.items()}, **found}
    return found


def catalogued(loaded: LoadedSystem) -> dict[str, Labels]:
    """Series of the scrapes that the system file names; none where it names none."""
    found: dict[str, dict[str, frozenset[str]]] = {}
    for index, name in enumerate(loaded.system.catalogue):
        try:
            raw = files.read_bytes(loaded.path.parent / name, files.SETTING_BYTES)
        except OSError as error:
            problem = f"'catalogue': {name!r} cannot be read: {error.strerror}"
            cure = "keep an answer of its metrics endpoint there"
            raise loaded.document.error(("catalogue", index), problem, help=cure) from error
        for line in raw.decode("utf-8", "replace").splitlines():
            match = _SAMPLE.match(line)
            if match is not None:
                labels = found.setdefault(match[1], {})
                for label, value in _LABEL.findall(match[2] or ""):
                    labels[label] = labels.get(label, frozenset()) | {value}
    return dict(found)


def _named(system: System, rules: Sequence[RuleFile]) -> dict[str, Labels]:
    """Metrics that are named somewhere, without a word of their labels."""
    names = {*OF_PROMETHEUS, *TRAFFIC_METRICS}
    for rule in (rule for file in rules for group in file.groups for rule in group.rules):
        names |= rule.query.metric_names() if isinstance(rule, AlertRule) else set()
        names |= {rule.record} if isinstance(rule, RecordingRule) else set()
    texts = [*system.dependencies.values(), system.drain.expr if system.drain else ""]
    texts.append(system.autoscaler.expr if system.autoscaler else "")
    for text in texts:
        try:
            names |= parse(text).metric_names() if text else set()
        except PromqlError:
            continue  # told where the system file is looked at
    return {name: {} for name in names}


def _requests(system: System) -> Iterator[tuple[str, Request]]:
    """Every request that the system is known to take, and what it is for."""
    yield "issue", system.requests.issue
    asked = {"campaign": system.creates, "close": system.close, "audit": system.audit}
    for name, request in asked.items():
        if isinstance(request, Request):
            yield name, request
    yield from system.actions.items()


def _ends(system: System) -> Iterator[tuple[str, str, int]]:
    """Host and port of each address of the system file, by the key that it stands under."""
    keys = ("base_url", "admin_url", "toxiproxy", "prometheus", "alertmanager", "metrics")
    for key in keys:
        for each in system.servers(key):
            parts = urlsplit(each.url)
            if parts.hostname:
                yield key, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _compose(folder: Path) -> dict[str, list[int]]:
    """Services with their ports of the compose file beside the system file, or one above it."""
    for path in (place / name for place in (folder, folder / "..") for name in _COMPOSE):
        if files.is_file(path):
            try:
                return dict(_services(load_documents(path)[0].plain()))
            except (GamedayError, IndexError):
                continue  # not ours to mend, and nothing is known of it
    return {}


def _services(project: Any) -> Iterator[tuple[str, list[int]]]:
    services = project.get("services") if isinstance(project, dict) else None
    for name, service in (services or {}).items():
        parts = service if isinstance(service, dict) else {}
        texts = json.dumps([parts.get("ports"), parts.get("expose")])
        yield str(name), [int(number) for number in _NUMBER.findall(texts)]
