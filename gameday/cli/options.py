"""The options that several commands share: where the system is, what may be broken, and units."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from datetime import timedelta

    from gameday.units import Rate

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


class DurationType(click.ParamType["timedelta"]):
    """A duration as people write it: `1s`, `500ms`."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "timedelta":
        from gameday.units import parse_duration

        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class RateType(click.ParamType["Rate"]):
    """A rate as people write it: `1000/s`, `300/m`."""

    name = "rate"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Rate":
        from gameday.units import Rate

        try:
            return Rate.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
