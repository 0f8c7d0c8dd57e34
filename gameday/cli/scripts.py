"""`gameday traffic import` and `export`: k6's scripts, taken over and written."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from gameday.cli.completion import complete_experiment
from gameday.cli.terminal import echo, emit
from gameday.core.errors import UsageError
from gameday.core.files import is_file
from gameday.core.files.private import as_asked

_LONGEST_NAME: Final = 64  # as a name in an experiment file may have


@click.command()
@click.argument("script", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file; default: stdout.")
@click.option("--env", "pairs", multiple=True, metavar="NAME=VALUE", help="The script's __ENV.")
def import_(script: Path, output: Path | None, pairs: tuple[str, ...]) -> None:
    """Make an experiment file of the k6 script SCRIPT.

    The script is run in a sandbox, and sends nothing. What cannot be taken over is named with its
    line, on stderr and at the head of the file.
    """
    from gameday.traffic.k6.import_script import import_script

    if not is_file(script):
        raise UsageError(f"no script {script}", help="it is not there or not a file")
    env = dict(_pair(pair) for pair in pairs)
    imported = import_script(script, _name(output or script), env)
    _hand_over([f"{script.name}: {note}" for note in imported.notes], imported.yaml, output)
    if output is None:
        return
    echo(f"wrote {output}", err=True)
    if imported.command:
        echo(f"next: {imported.command}", err=True)


def _hand_over(notes: Iterable[str], text: str, output: Path | None) -> None:
    """Tell the notes, and write `text` to a file or, without one, to stdout."""
    for note in notes:
        echo(f"note: {note}", err=True)
    if output is None:
        emit(text)
        return
    try:
        with as_asked():
            output.write_bytes(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}") from error


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--env: {text!r} is no variable", help="write NAME=VALUE")
    return name, value


def _name(path: Path) -> str:
    """The experiment's name: that of its file, as far as a name can be."""
    plain = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:_LONGEST_NAME]
    return plain or "imported"


@click.command()
@click.argument("experiment", shell_complete=complete_experiment)
@click.option("--k6", "k6", is_flag=True, required=True, help="As a script for k6.")
@click.option("--system", help="The system file whose request is sent; default ours.")
@click.option("--short", is_flag=True, help="The experiment's short form.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file; default: stdout.")
def export(
    experiment: str,
    k6: bool,  # noqa: FBT001  click passes it by name
    system: str | None,
    short: bool,  # noqa: FBT001
    output: Path | None,
) -> None:
    """Write the traffic of EXPERIMENT as a script for k6."""
    from gameday.spec.inputs import find_system, load_experiment, load_system
    from gameday.traffic.k6.export_script import export_script

    del k6  # the only form there is; named so that others can follow
    loaded = load_experiment(experiment, short=short)
    exported = export_script(loaded.experiment, load_system(find_system(system)).system)
    _hand_over(exported.notes, exported.script, output)
    if output is not None:
        echo(f"wrote {output}; run it with: k6 run {output}", err=True)
