"""`gameday doctor` says whether this machine can run a game day, and what would cure it.

What is looked at is in `gameday.plan.machine`; here are the interpreter, its libraries and the
container engine besides. `warn` means that a run works but may say less, or that one stack is not
to be had; `fail` means that the embedded stack will not start.
"""

import importlib
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import click

from gameday.cli.drawing import SafeConsole, styled, table
from gameday.cli.notify import say
from gameday.cli.terminal import emit
from gameday.cli.words import in_words, sentence
from gameday.core import settings
from gameday.core.errors import ExitCode, GamedayError, UsageError
from gameday.core.files import is_file
from gameday.core.messages import Message
from gameday.core.settings.notify import anybody_is_told
from gameday.plan.finding import Finding, Status
from gameday.plan.machine import (
    clock,
    kept_stack,
    memory,
    open_files,
    ports,
    processors,
    state_folder,
    steal,
    stores,
    temporary_folder,
)
from gameday.run import hold
from gameday.traffic.capacity import calibration

PYTHON_MIN = (3, 11)
LIBRARIES = ("promql_parser", "asyncpg", "redis", "httptools", "httpx", "numpy", "pydantic", "yaml")
ENGINE_TIMEOUT_S = 2  # an engine of this machine answers in ms; one that hangs must not


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--brief", is_flag=True, help="Say only what has to be cured first.")
@click.option(
    "--calibrate", is_flag=True, help="Measure what the traffic generator keeps here (5 s)."
)
def doctor(*, as_json: bool, brief: bool, calibrate: bool) -> None:
    """Look whether this machine can run a game day.

    Exit code 0, or 4 when something has to be cured first.
    """
    findings = [finding for check in CHECKS for finding in check()]
    findings.append(_generator(measure=calibrate))
    healthy = all(finding.status != "fail" for finding in findings)
    if as_json:
        told = [each.as_json("name", "status", "found", "cure") for each in findings]
        body = {"healthy": healthy, "findings": told}
        emit(json.dumps(body, indent=1) + "\n")
    elif brief:
        _show([finding for finding in findings if finding.status == "fail"], healthy=healthy)
    else:
        _show(findings, healthy=healthy)
    sys.exit(ExitCode.PASSED if healthy else ExitCode.UNHEALTHY)


def _show(findings: list[Finding], *, healthy: bool) -> None:
    colour = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    told = table()
    for heading in ("", sentence("doctor.what"), sentence("doctor.found")):
        told.add_column(heading)
    for each in findings:
        cure = f"\n→ {in_words(each.remedy)}" if each.cure else ""
        mark = styled(sentence(f"doctor.{each.status}"), colour[each.status])
        told.add_row(mark, in_words(each.title), in_words(each.what) + cure)
    console = SafeConsole()
    if findings:
        console.print(told)
    console.print(sentence("doctor.healthy" if healthy else "doctor.unhealthy"))


def python() -> list[Finding]:
    """The interpreter."""
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < PYTHON_MIN:
        return [Finding("python", "fail", found, "install Python 3.11 or newer")]
    return [Finding("python", "ok", found)]


def libraries() -> list[Finding]:
    """The libraries that gameday imports; without uvloop it is only slower."""
    problems = []
    for name in (*LIBRARIES, "uvloop"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            problems.append(f"{name}: {error}")
    if not problems:
        return [Finding("libraries", "ok", ", ".join((*LIBRARIES, "uvloop")))]
    only_speed = all(problem.startswith("uvloop:") for problem in problems)
    status: Status = "warn" if only_speed else "fail"
    return [Finding("libraries", status, "; ".join(problems), "pip install gameday, once more")]


def container_engine() -> list[Finding]:
    """A Docker engine, which only the compose stack needs."""
    import docker  # 0.2 s, needed by nothing else here
    import docker.errors

    try:
        client = docker.from_env(timeout=ENGINE_TIMEOUT_S)
        try:
            client.ping()
            text = f"Docker {client.version()['Version']}"
        finally:
            client.close()
    except docker.errors.DockerException as error:
        denied = "Permission denied" in str(error)
        why = Message("finding.no_engine_permission" if denied else "finding.no_engine")
        return [Finding("container engine", "warn", why, Message("finding.engine_cure"))]
    return [Finding("container engine", "ok", text)]


def on_hold() -> list[Finding]:
    """The hold, if somebody has said that nothing may be broken for now."""
    held = None if state_folder()[0].status == "fail" else hold.current()
    if held is None:
        return [Finding("hold", "ok", Message("finding.none"))]
    return [Finding("hold", "warn", str(held), hold.CURE)]


def _generator(*, measure: bool) -> Finding:
    """Requests a second that one traffic worker keeps, if that was measured."""
    try:
        found = calibration.calibrate() if measure else calibration.known()
    except GamedayError as error:
        return Finding("generator", "warn", error.message, "make sure that 127.0.0.1 can be bound")
    if found is None:
        return Finding("generator", "ok", Message("finding.not_measured"))
    id_ = "finding.keeps_more" if found.reached_top else "finding.keeps"
    return Finding("generator", "ok", Message(id_, per_s=found.kept_per_s))


def set_values() -> list[Finding]:
    """Each setting, and where it was written."""
    try:
        found = settings.current().values
    except UsageError as error:
        return [Finding("settings", "fail", error.message, error.help)]
    return [
        _there(
            name,
            each.value,
            Message(
                "finding.setting",
                value=_as_text(each.value),
                origin=Message(f"finding.origin.{each.origin}"),
                where=f": {each.where}" if each.where else "",
            ),
        )
        for name, each in found.items()
    ]


def _there(name: str, value: object, told: Message) -> Finding:
    if name == "system" and isinstance(value, str) and value and not is_file(Path(value)):
        return Finding(name, "warn", f"{told}: not there, or not a file", "mend it where it stands")
    return Finding(name, "ok", told)


def _as_text(value: object) -> str | Message:
    listed = ", ".join(map(str, value)) if isinstance(value, list) else value
    return Message("finding.none") if listed in ("", None) else str(listed)


def notifications() -> list[Finding]:
    """The channels that runs are told to; that they take anything, `gameday notify` tries."""
    if not anybody_is_told(os.environ):
        return [Finding("notifications", "ok", Message("finding.nobody_is_told"))]
    from gameday.report.notify import channels, environment_problems

    named = [each.name for each in channels(os.environ, say)]
    nobody = Message("finding.nobody_is_told")
    found = Message("finding.told_to", names=", ".join(named)) if named else nobody
    problems = [
        Finding("notifications", "warn", str(problem), "mend it, then: gameday notify")
        for problem in environment_problems(os.environ)
    ]
    return [Finding("notifications", "ok", found), *problems]


CHECKS: tuple[Callable[[], list[Finding]], ...] = (
    python,
    libraries,
    stores,
    temporary_folder,
    ports,
    open_files,
    clock,
    steal,
    processors,
    memory,
    container_engine,
    state_folder,
    kept_stack,
    on_hold,
    set_values,
    notifications,
)
