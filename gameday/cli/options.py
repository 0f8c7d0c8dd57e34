"""The options that several commands share: where the system is, and what may be broken."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Decorated = Callable[..., Any]

_WHERE = (
    click.option(
        "--stack",
        type=click.Choice(["embedded", "compose", "external"]),
        default="embedded",
        show_default=True,
        help="Where the system runs: started here, in containers, or already somewhere.",
    ),
    click.option("--system", help="The system file; default our coupon issuance service."),
    click.option(
        "--runs",
        "runs_dir",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("runs"),
        show_default=True,
        help="Where the evidence goes.",
    ),
    click.option("--short", is_flag=True, help="The experiment's short form."),
    click.option("--reuse", is_flag=True, help="The stack that `gameday up` keeps running."),
    click.option(
        "--allow-target",
        "allowed",
        multiple=True,
        metavar="HOST",
        help="A host that is not this machine and may be broken. Can be repeated.",
    ),
)


def where(command: Decorated) -> Decorated:
    """The options of an experiment on a stack."""
    for option in reversed(_WHERE):
        command = option(command)
    return command
