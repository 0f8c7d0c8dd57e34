"""`gameday heal`: what runs may have left behind is taken out, as far as it is this user's to do.

Records that the user's own key has signed are obeyed. The others are listed, with the way out:
whoever vouches for a run names it (`--trust RUN`), sees each request and each signal before it is
sent, and says at the command line which other hosts may be reached and whether secrets may be used.
Nothing in a run directory widens that, and no run keeps another from its turn.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from gameday.cli.completion import complete_run
from gameday.cli.options import allow_target, runs_option
from gameday.cli.terminal import echo, one_line, warn
from gameday.cli.words import sentence
from gameday.core.errors import GamedayError, StuckFaultError, UsageError
from gameday.core.files.private import state_dir
from gameday.core.network import event_loop
from gameday.core.network.allow_list import Allowed
from gameday.core.secrets.signing import SigningKey, read_key, read_or_make_key
from gameday.evidence.journal_lengths import noted_runs
from gameday.evidence.sealed_box import Box, read_key_file
from gameday.stacks.state import read_kept

if TYPE_CHECKING:
    from gameday.evidence.provenance import Provenance
    from gameday.injection.heal import Healed, Left

_GONE = {True: "yes", False: "NO", None: "not known"}


@dataclass(slots=True)
class Looked:
    """The outcome for one run; `open` says what of it is left or unknown, in words."""

    run: str
    healed: "list[Healed]" = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    quiet: bool = False
    """Not signed here, and it says itself that nothing is left."""


@dataclass(frozen=True, slots=True)
class Mine:
    """The marks of the user's own runs: the key that signs them, and the folder that notes them."""

    key: SigningKey | None
    state: Path | None


@dataclass(frozen=True, slots=True)
class Permissions:
    """Permissions from the command line: hosts that may be reached, and the use of secrets.

    `box` opens what a drill has sealed.
    """

    allowed: frozenset[str]
    with_secrets: bool = False
    box: Box | None = None


@click.command()
@click.argument("run", required=False, shell_complete=complete_run)
@runs_option
@click.option(
    "--trust",
    "trusted",
    metavar="RUN",
    help="Undo what RUN's journal says, although you have not signed it on this machine.",
)
@allow_target(
    "A host that is not this machine and may be reached. Can be repeated.", by_settings=False
)
@click.option("--with-secrets", is_flag=True, help="With --trust: use {env:} and {file:} secrets.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help="The key of a drill that had no debrief, as `gameday drill --key-file` wrote it.",
)
def heal(run: str | None, runs_dir: Path, trusted: str | None, **options: Any) -> None:
    """Take out every fault that RUN (default: any run here) may have left behind.

    Needs only the run's journal, never the experiment. Doing it twice is harmless. Runs that you
    have not signed on this machine are only listed; see --trust. Exit code 6 when something is
    there, or is not known to be gone; 0 for what is proven, or a step whose undo was answered.
    """
    from gameday.cli.find_run import find_run, list_runs

    box = None if options["key_file"] is None else read_key_file(options["key_file"])
    permitted = Permissions(options["allowed"].hosts, options["with_secrets"], box)
    if trusted is not None:
        if run is not None:
            raise UsageError("name the run once", help=f"gameday heal --trust {trusted}")
        looked = [_vouched_for(find_run(trusted, runs_dir), permitted)]
    else:
        if permitted.with_secrets:
            raise UsageError("--with-secrets is for --trust RUN: your own runs have theirs")
        mine, why = _mine()
        folders = list_runs(runs_dir)[::-1] if run is None else [find_run(run, runs_dir)]
        looked = [_own(folder, mine, permitted) for folder in folders]
        looked += _without_journal(runs_dir, mine) if run is None else []
        if why and any(each.open or each.quiet for each in looked):
            echo(why, err=True)
    _show(looked, runs_dir)
    stuck = sum(bool(each.open) for each in looked)
    if not all(one.settled for each in looked for one in each.healed):
        raise StuckFaultError(
            "something could not be read back as gone",
            help="restart that Toxiproxy (its toxics go with it), then run `gameday heal` again",
        )
    if stuck:
        raise StuckFaultError(
            f"{stuck} runs may have left something behind that was not undone",
            help="the lines above say what, and the way out of each",
        )


def _without_journal(runs_dir: Path, mine: Mine) -> list[Looked]:
    """Runs of this user whose directory is here, and whose journal is not."""
    from gameday.cli.find_run import is_run

    return [
        Looked(name, open=[f"unknown: its journal is gone; {_look_at(runs_dir / name)}"])
        for name in ([] if mine.state is None else noted_runs(mine.state))
        if (runs_dir / name).is_dir() and not is_run(runs_dir / name)
    ]


def _mine() -> tuple[Mine, str]:
    """The marks of the user's own runs, and why there are none ("" where there are)."""
    state = None
    try:
        state = state_dir()
        return Mine(read_key(state), state), ""
    except GamedayError as error:
        why = f"warning: {error.message}: no run counts as yours\n  help: {error.help}"
        return Mine(None, state), why


def _own(folder: Path, mine: Mine, permitted: Permissions) -> Looked:
    """Heal what the user has signed of a run, and say what else there is."""
    try:
        return _of_one(folder, mine, permitted)
    except Exception as error:  # noqa: BLE001 - one bad run must not keep the others in place
        return Looked(folder.name, open=[f"unknown: {type(error).__name__}: {error}"])


def _of_one(folder: Path, mine: Mine, permitted: Permissions) -> Looked:
    from gameday.evidence import provenance
    from gameday.injection.heal import controller_lives

    looked = Looked(folder.name)
    read = provenance.read(folder, mine.key, mine.state, permitted.box)
    if controller_lives(read.journal):
        echo(sentence("heal.under_way", run=folder.name), err=True)
        return looked
    for note in read.notes:
        warn(f"{folder.name}/{note}")
    if read.unknown:
        looked.open.append(f"unknown: {read.unknown}; {_look_at(folder)}")
    looked.open += _sealed(read, folder)
    if read.journal:
        looked.healed = _healed(read, mine.key, permitted, environment())
    foreign = _foreign(read)
    if foreign:
        looked.open.append(
            f"{read.why_foreign}, so not undone: {'; '.join(foreign)}\n"
            f"    help: gameday heal --trust {folder} prints each, and undoes it"
        )
    looked.quiet = not read.journal and not looked.open
    return looked


def _healed(
    read: "Provenance",
    key: SigningKey | None,
    permitted: Permissions,
    environment: Mapping[str, str],
) -> "list[Healed]":
    """Of a run of the user's own; the hosts that were allowed to it stand in its signed journal."""
    from gameday.evidence.events import RunStarted
    from gameday.evidence.journal import first
    from gameday.injection.heal import Healer, heal

    started = first(read.journal, RunStarted)
    then = () if started is None else started.event.allowed
    allowed = Allowed(permitted.allowed.union(then))
    healer = Healer(environment, key, lambda left: _refused_host(left, allowed), runs_commands=True)
    return event_loop.run(heal(read, healer), allowed)


def _foreign(read: "Provenance") -> list[str]:
    """Changes that are due by records which this user has not signed; nothing is asked of them."""
    from gameday.injection.heal import foreign_due, label

    found = [label(left) for left in foreign_due(read)]
    if not found and not read.journal and not read.foreign:
        return ["its journal has no record that can be read"]
    return found


def _sealed(read: "Provenance", folder: Path) -> list[str]:
    """The reason why nobody can tell what a drill without a debrief has left; none of others."""
    if not read.sealed:
        return []
    text = (
        f"unknown: {read.sealed} records are sealed until the debrief of the drill, and what they"
        f" announced is not known\n    help: gameday heal {folder} --key-file FILE, or"
        f" {_look_at(folder)}"
    )
    return [text]


def _look_at(folder: Path) -> str:
    return f"look for toxics named gameday-{folder.name}-* yourself, then remove {folder}"


def _vouched_for(folder: Path, permitted: Permissions) -> Looked:
    """Undo what a run says that somebody vouches for, each thing shown before it is done."""
    from gameday.evidence import provenance
    from gameday.injection.heal import Healer, controller_lives, heal

    looked = Looked(folder.name)
    read = provenance.vouched(folder, permitted.box)
    for note in read.notes:
        warn(f"{folder.name}/{note}")
    if read.unknown:
        looked.open.append(f"unknown: {read.unknown}")
    looked.open += _sealed(read, folder)
    if controller_lives(read.journal):
        looked.open.append("its journal says that it is under way: end its process first")
        return looked

    allowed = Allowed(permitted.allowed)

    def may(left: "Left") -> str:
        echo(f"run {folder.name}: {_preview(left)}", err=True)
        return _refused_host(left, allowed) or _refused_secret(left, permitted)

    secrets = environment() if permitted.with_secrets else {}
    try:
        key: SigningKey | None = read_or_make_key(state_dir())
    except GamedayError as error:
        warn(f"{error.message}: what is done now is not signed")
        key = None
    looked.healed = event_loop.run(heal(read, Healer(secrets, key, may, presses=False)), allowed)
    return looked


def _preview(left: "Left") -> str:
    """Exactly what is going to be sent or signalled, with nothing in it that a terminal obeys."""
    from gameday.spec.undos import ProcessUndo, RequestUndo, ServiceUndo

    match left.undo:
        case RequestUndo() as undo:
            sent = json.dumps({"to": undo.base_url, **undo.request})
            values = json.dumps(undo.values or {})
            return f"{left.owner} {left.name!a}: sends {sent}, with the values {values}"
        case ProcessUndo() as undo:
            what = f"process {undo.pid}, begun {undo.start_time!a}"
            return (
                f"{undo.name!a}: sends {undo.signal!a}, then SIGKILL, to {what}, and all its"
                " children"
            )
        case ServiceUndo(what="start") as undo:
            return f"{left.owner} {left.name!a}: starts {_started(undo.part)}"
        case undo:
            return f"{left.owner} {left.name!a}: undoes {undo.kind!a}: {json.dumps(undo.as_json())}"


def _started(part: Path) -> str:
    """The program that the launch file of a component would start, and in which folder."""
    from gameday.injection.process.launch import Launch

    try:
        launch = Launch.read(part)
    except (GamedayError, ValueError) as error:
        return f"nothing: {error}"
    if launch is None:
        return f"nothing: {str(part)!a} is gone"
    return f"{json.dumps(list(launch.argv))} in {str(launch.folder)!a}, as {str(part)!a} says"


def _refused_secret(left: "Left", permitted: Permissions) -> str:
    """Why its secrets are not used, "" where it has none or they may be."""
    from gameday.spec.undo_fields import references

    asked = sorted(set(references(left.undo.as_json())))
    if not asked or permitted.with_secrets:
        return ""
    return f"not done: it uses the secrets {', '.join(asked)}; if it may: --with-secrets"


def _refused_host(left: "Left", allowed: Allowed) -> str:
    """Why the host of an undo is not reached, "" where it may be, or none is named."""
    from gameday.spec.undos import NetworkUndo, RequestUndo

    match left.undo:
        case NetworkUndo(url=url) | RequestUndo(base_url=url):
            pass
        case _:
            return ""
    try:
        allowed.check(urlsplit(url).hostname or "")
    except (UsageError, ValueError) as error:
        cure = f"; {error.help}" if isinstance(error, UsageError) and error.help else ""
        return f"not done: {error}{cure}"
    return ""


def environment() -> dict[str, str]:
    """Variables with the secrets of undoing requests: this shell's, and those of the kept stack."""
    try:
        kept = read_kept()
    except GamedayError as error:  # healing goes on: most of it needs no secret
        warn(error.message)
        kept = None
    return {**(kept.environment if kept is not None else {}), **os.environ}


def _show(looked: Sequence[Looked], runs_dir: Path) -> None:
    from gameday.cli.drawing import SafeConsole, table

    told = table(*(sentence(f"heal.{name}") for name in ("run", "what", "gone", "why")))
    for each in looked:
        for one in each.healed:
            word = "answered" if one.answered else _GONE[one.gone]
            told.add_row(one_line(each.run), one_line(one.what), word, one.why)
    if told.row_count:
        SafeConsole().print(told)
    for each in looked:
        for text in each.open:
            echo(f"run {each.run}: {text}", err=True)
    quiet = sum(each.quiet for each in looked)
    if quiet:
        echo(sentence("heal.foreign", n=quiet), err=True)
    if not told.row_count and not any(each.open for each in looked):
        echo(sentence("heal.nothing", n=len(looked) - quiet, runs=str(runs_dir)))
