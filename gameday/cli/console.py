"""`gameday console`, and the options by which a run or a drill has a console beside it."""

from collections.abc import Callable, Collection
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gameday.cli.completion import complete_run
from gameday.cli.options import lang_option, runs_option
from gameday.cli.terminal import echo, warn
from gameday.cli.words import say
from gameday.core import settings
from gameday.core.errors import UsageError

if TYPE_CHECKING:
    from gameday.console.access import ConsoleRole
    from gameday.console.launch import Launched
    from gameday.console.server import ConsoleLinks
    from gameday.console.settings import ListenSettings
    from gameday.evidence.sealed_box import Box

_started: "list[Launched]" = []  # consoles, which hear of the end of this process
_OPTIONS = (
    click.option(
        "--listen",
        metavar="ADDR[:PORT]",
        help="Where the console listens, with TLS; else this machine alone.",
    ),
    click.option(
        "--allow-host",
        "console_hosts",
        multiple=True,
        metavar="NAME",
        help="A name or address by which browsers ask for the console.",
    ),
    click.option("--tls-cert", type=click.Path(path_type=Path), help="Its certificate, in PEM."),
    click.option("--tls-key", type=click.Path(path_type=Path), help="The key of it, in PEM."),
)


def listen_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where a console listens; the command is told `listen`."""

    @wraps(function)
    def command(
        *args: Any,
        listen: str | None,
        console_hosts: tuple[str, ...],
        tls_cert: Path | None,
        tls_key: Path | None,
        console: bool = True,
        **options: Any,
    ) -> Any:
        from gameday.console.settings import listen_settings

        if not console and (listen or console_hosts or tls_cert or tls_key):
            raise UsageError(
                "--listen, --allow-host and --tls-… are of a console", help="--console"
            )
        at = listen_settings(listen, tls_cert, tls_key, console_hosts) if console else None
        return function(*args, listen=at, **options)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def console_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a command that has a console only if it is asked for; else `listen` is None."""
    return click.option("--console", is_flag=True, help="Serve a page beside it.")(
        listen_options(function)
    )


def open_console(
    run_dir: Path,
    listen: "ListenSettings | None",
    box: "Box | None" = None,
    roles: "Collection[ConsoleRole] | None" = None,
) -> None:
    """Start a console beside a run, where one is wanted; tell its links. A run does without it."""
    if listen is None:
        return
    from gameday.console.access import ConsoleRole
    from gameday.console.launch import launch
    from gameday.core.errors import GamedayError

    try:
        launched = launch(run_dir, listen, tuple(ConsoleRole) if roles is None else roles, box)
    except (GamedayError, OSError) as error:
        warn(f"console: {getattr(error, 'message', error)}")
        return
    _started.append(launched)
    tell_links(launched.links)


def tell_links(links: "ConsoleLinks") -> None:
    """Print the links on stderr, each with whom it is for."""
    for role, link in links.links.items():
        echo(f"console     {link}  ({say(f'link_{role}')})", err=True)
    if links.fingerprint:
        echo(f"console     SHA-256 of its certificate: {links.fingerprint}", err=True)


@click.command()
@lang_option
@click.argument("run", required=False, shell_complete=complete_run)
@runs_option
@listen_options
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help="The key of a blind drill: opens what is its facilitator's.",
)
def console(
    run: str | None, runs_dir: Path, key_file: Path | None, listen: "ListenSettings"
) -> None:
    """Serve a page for RUN: the one that is under way, or one that is over, until Ctrl-C."""
    from gameday.cli.find_run import find_run
    from gameday.console.server import ConsoleServer, ConsoleSettings
    from gameday.core.network import event_loop
    from gameday.evidence.sealed_box import read_key_file

    folder = run_under_way(run) or find_run(run or "last", runs_dir)
    box = read_key_file(key_file) if key_file is not None else None
    server = ConsoleServer(
        ConsoleSettings(
            run_dir=folder,
            listen=listen,
            tokens=_tokens(folder, known=box is not None),
            box=box,
            lingers=False,
            language=settings.chosen_language(),
        )
    )
    event_loop.run(server.serve(tell_links))


def run_under_way(run: str | None) -> Path | None:
    """The run that is under way, where one is named, or only one is."""
    from gameday.run import locks

    found = [each for each in locks.running() if each.has_controller and run in (None, each.run)]
    return found[0].dir if len(found) == 1 else None


def _tokens(folder: Path, *, known: bool) -> "dict[ConsoleRole, str]":
    """New tokens by role; none for who leads a blind drill, without its key."""
    from gameday.console.access import ConsoleRole, new_token
    from gameday.evidence.events import DrillStarted, Sealed
    from gameday.evidence.journal import first, read

    records = read(folder / "journal.jsonl").records
    blind = first(records, Sealed) is not None or (
        first(records, DrillStarted) is not None and not known
    )
    roles = [role for role in ConsoleRole if known or not blind or role != "facilitator"]
    return {role: new_token() for role in roles}
