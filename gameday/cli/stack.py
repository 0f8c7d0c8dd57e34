"""`gameday up` and `gameday down`: a stack that stays between runs."""

import asyncio
import os
import shlex
from collections.abc import Coroutine
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import click

from gameday.cli.commands import must_agree_to_setup
from gameday.cli.options import ProjectOptions, own_project, own_project_options
from gameday.cli.screen import progress_line
from gameday.cli.terminal import echo, warn
from gameday.cli.words import sentence
from gameday.core.clock import NS, SystemClock
from gameday.core.errors import ExitCode, UsageError
from gameday.core.network import event_loop
from gameday.core.stack_registry import EMBEDDED, STACKS
from gameday.plan import own_project_checks
from gameday.plan.finding import as_error, failures
from gameday.run.control_socket import heeded, on_third_ctrl_c
from gameday.run.locks import TargetClosed
from gameday.spec.inputs import LoadedSystem, find_system, load_system
from gameday.spec.system import MOST_REPLICAS
from gameday.stacks.own_project import OwnProject
from gameday.stacks.persistent import put_up, take_down
from gameday.stacks.stack import Running
from gameday.stacks.state import read_kept, stack_file

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions(ProjectOptions):
    """The command line of `up`."""

    system: str | None
    open_toxiproxy: bool
    replicas: int


@click.command()
@click.option(
    "--stack",
    type=click.Choice([name for name, entry in STACKS.items() if entry.reused_by]),
    default=EMBEDDED,
    show_default=True,
    help="Started from programs of this machine, or in containers.",
)
@click.option("--system", metavar="FILE", help="System file (default: the shipped system).")
@click.option(
    "--open-toxiproxy", is_flag=True, help="Let any client change its Toxiproxy, without a token."
)
@click.option(
    "--replicas",
    type=click.IntRange(1, MOST_REPLICAS),
    default=1,
    show_default=True,
    help="Of the service, behind the balancer of the containers.",
)
@own_project_options
def up(**options: Any) -> None:
    """Start a stack and keep it running.

    `gameday run --reuse` runs on it, `gameday down` ends it.
    """
    asked = UpOptions(**options)
    stack, replicas = asked.stack, asked.replicas
    loaded, project = load_system(find_system(asked.system)), own_project(asked)
    must_agree_to_setup(loaded)
    clock = SystemClock()
    begun_ns = clock.now_ns()
    echo(sentence("stack.starting", name=loaded.system.name), err=True)
    if replicas > 1 and not STACKS[stack].in_containers:
        raise UsageError(f"the {stack} stack has one replica", help="--stack compose can have more")
    if project is not None:
        _look_first(project, loaded, replicas)
    starting = put_up(
        loaded.system,
        loaded.path,
        clock,
        stack=stack,
        open_toxiproxy=asked.open_toxiproxy,
        project=project,
        replicas=replicas,
        progress=lambda well, waiting: echo(f"  {progress_line(well, waiting)}", err=True),
    )
    running = event_loop.run(_interruptible(starting))
    print_addresses(running, (clock.now_ns() - begun_ns) / NS, asked.system)


def _look_first(project: OwnProject, loaded: LoadedSystem, replicas: int) -> None:
    """Print what is odd about a project of one's own. Raises UsageError, StackError."""
    if replicas > 1:
        raise UsageError("--replicas with --compose-file", help="`deploy.replicas` of your file")
    found = list(own_project_checks.checks(project, loaded))
    for each in found:
        if each.status == "warn":
            warn(f"{each.name}: {each.found}")
    for each in failures(found)[:1]:
        raise as_error(each, owned=True)


@click.command()
def down() -> None:
    """Stop the stack that `up` started. Harmless when there is none.

    Refused while a run uses it: exit code 2.
    """
    known = read_kept()
    toxiproxy = known.addresses.toxiproxy if known and known.addresses else None
    free = TargetClosed(known.base_url, toxiproxy, "gameday down") if known else nullcontext()
    with free:
        kept = event_loop.run(take_down())
    if kept is None:
        echo(sentence("stack.none"))
    else:
        echo(sentence("stack.down", name=kept.name))


def print_addresses(running: Running, took_s: float, named: str | None = None) -> None:
    """The addresses, without the passwords, and where those are; `named` is the system file."""
    system = running.system
    rows = [("service", system.base_url)]
    rows += [("admin", system.admin_url)] if system.admin_url else []
    rows += [("metrics", url) for url in system.metrics]
    rows += [("toxiproxy", system.toxiproxy)] if system.toxiproxy else []
    rows += [
        (name, url)
        for name in ("prometheus", "alertmanager", "grafana")
        if (url := getattr(running.addresses, name)) is not None
    ]
    for name, url in running.direct.items():
        place = urlsplit(url).netloc.rpartition("@")[2]
        rows.append((name, f"{place}  {running.binaries[name]}"))
    echo(sentence("stack.up", name=system.name, took_s=took_s))
    for name, text in rows:
        echo(f"  {name:<12} {text}")
    token = "" if running.token_file is None else "  (and the token for changes on toxiproxy)"
    echo(f"  {'passwords':<12} {_short(stack_file())}{token}")
    which = "" if running.project is None else " --stack compose"
    which += "" if named is None else f" --system {shlex.quote(named)}"
    run, down = f"gameday run EXPERIMENT --reuse{which}", "gameday down"
    echo(sentence("stack.next", run=run, down=down))


def _short(path: Path) -> str:
    home = str(Path.home())
    return str(path).replace(home, "~", 1) if str(path).startswith(home + "/") else str(path)


async def _interruptible(work: Coroutine[None, None, T]) -> T:
    """Ctrl-C, SIGTERM and a closed terminal cancel `work`, which then tidies up; exit 5."""
    task = asyncio.ensure_future(work)
    here = asyncio.get_running_loop()

    def once() -> None:
        if not task.cancelling():  # another Ctrl-C must not cut the tidying up short
            task.cancel()

    for number in heeded():
        here.add_signal_handler(number, once)
    on_third_ctrl_c(_leave)
    try:
        return await task
    except asyncio.CancelledError:
        echo(sentence("stack.stopped"), err=True)
        raise SystemExit(ExitCode.ABORTED) from None


def _leave() -> NoReturn:
    """End this process, whatever the tidying hangs in; what is there stands in the stack's file."""
    echo("left at the third Ctrl-C; gameday down ends what is there", err=True)
    os._exit(ExitCode.ABORTED)
