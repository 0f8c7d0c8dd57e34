"""Findings about the service's logs: where those come from that an experiment asks about."""

from collections.abc import Iterator
from pathlib import Path

from gameday.core import files
from gameday.core.stack_registry import STACKS
from gameday.plan.finding import Finding
from gameday.spec.inputs import Inputs

_NAMED = "name them in the system file: logs: [PATH]"


def checks(inputs: Inputs, stack: str, *, reuse: bool) -> Iterator[Finding]:
    """A line about the logs that expectations are held against; nothing where there are none."""
    if not inputs.experiment.experiment.expect.logs:
        return
    entry = STACKS[stack]
    if entry.in_containers:
        yield Finding("logs", "ok", "what the engine has of the service's containers")
    elif entry.starts_components:
        what = "what it adds to its log in the run" if reuse else "all that it writes"
        yield Finding("logs", "ok", f"{what}: its standard output and error")
    elif not inputs.system.system.logs:
        found = "the system names no `logs`: what is expected of them will be unknown"
        yield Finding("logs", "warn", found, _NAMED)
    else:
        yield from _files(inputs)


def _files(inputs: Inputs) -> Iterator[Finding]:
    folder = inputs.system.path.parent
    paths = [folder / each for each in inputs.system.system.logs]
    for path in paths:
        if why := _problem(path):
            found = f"{files.shown_path(path)}: {why}: what is expected of it will be unknown"
            yield Finding("logs", "warn", found, _NAMED)
    shown = ", ".join(map(files.shown_path, paths))
    yield Finding("logs", "ok", f"what is added in the run to {shown}")


def _problem(path: Path) -> str:
    """Why a log cannot be read; "" where it can."""
    try:
        files.open_file(path).close()
    except OSError as error:
        return error.strerror or "it cannot be read"
    return ""
