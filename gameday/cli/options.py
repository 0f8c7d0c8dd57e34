"""The options that several commands share: where the system is, what may be broken, and units."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import click
from click.core import ParameterSource

from gameday.core.language import languages
from gameday.core.stack_registry import EMBEDDED, STACKS

if TYPE_CHECKING:
    from datetime import timedelta

    from gameday.core.network.allow_list import Allowed
    from gameday.core.network.listen import Listen
    from gameday.core.units import Rate
    from gameday.spec.inputs import Inputs
    from gameday.stacks.own_project import OwnProject

Decorated = Callable[..., Any]


class OfSetting(TypedDict):
    """Keyword arguments of a click option."""

    default: Callable[[], Any]
    callback: Callable[[click.Context, click.Parameter, Any], Any]


def setting(name: str) -> OfSetting:
    """Keyword arguments that make a click option of a setting: its default, and a callback.

    The callback tells the settings which value was chosen.
    """

    def default() -> Any:
        from gameday.core import settings

        return settings.current()[name]

    def chosen(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        from gameday.core import settings

        if ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE:
            settings.choose(name, _written(value), param.opts[0])
        return value

    return {"default": default, "callback": chosen}


def _written(value: Any) -> Any:
    """An option's value as a file of settings would say it."""
    from datetime import timedelta

    from gameday.core.units import format_duration

    return format_duration(value) if isinstance(value, timedelta) else str(value)


def _with_settings(ctx: click.Context, param: click.Parameter, hosts: tuple[str, ...]) -> "Allowed":
    """The hosts that are allowed: those of the user's own settings, and those of the option."""
    from gameday.core import settings

    allowed = tuple(dict.fromkeys([*settings.current()["allow_targets"], *hosts]))
    if hosts:
        settings.choose("allow_targets", list(allowed), param.opts[0])
    return _allow(ctx, param, allowed)


def _allow(ctx: click.Context, param: click.Parameter, hosts: tuple[str, ...]) -> "Allowed":
    """One allow-list for all that the process of a command connects to."""
    del ctx, param
    from gameday.core.errors import UsageError
    from gameday.core.network.allow_list import Allowed

    try:
        return Allowed(hosts)
    except UsageError as error:
        raise UsageError(f"--allow-target: {error.message}", help=error.help) from None


def allow_target(help: str, *, by_settings: bool = True) -> Callable[[Decorated], Decorated]:
    """The option that names hosts beside this machine; its value is an `Allowed`.

    `by_settings`: the user's own settings may name some too.
    """
    return click.option(
        "--allow-target",
        "allowed",
        multiple=True,
        metavar="HOST",
        callback=_with_settings if by_settings else _allow,
        help=help,
    )


def _in_language(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Decide the language, where the command line does."""
    from gameday.core import settings

    if value is not None and ctx.get_parameter_source(param.name or "") is (
        ParameterSource.COMMANDLINE
    ):
        settings.choose("lang", value, param.opts[0])
    elif ctx.parent is not None:  # a command that writes for people, not `gameday stop`
        settings.must_name_language()


lang_option = click.option(
    "--lang",
    type=click.Choice(languages()),
    expose_value=False,
    is_eager=True,
    callback=_in_language,
    help="The language of what people read; else GAMEDAY_LANG, else that of the locale.",
)
runs_option = click.option(
    "--runs",
    "runs_dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    show_default="runs",
    help="Where the run directories are.",
    **setting("runs"),
)


def _listen(ctx: click.Context, param: click.Parameter, text: str | None) -> Any:
    """The address to listen at, None where it is not given."""
    del ctx, param
    if text is None:
        return None
    from gameday.core.network.listen import Listen

    return Listen.parse(text)


_PROJECT = (
    click.option(
        "--compose-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A compose file of yours: a copy of that project is put up.",
    ),
    click.option(
        "--service-map",
        metavar="MAP",
        help="What its services are here, as redis=cache,postgres=db:5433,service=api.",
    ),
    click.option(
        "--share-volumes",
        is_flag=True,
        help="Let the copy write to external volumes, which are your own data.",
    ),
)
ALLOWS_COMMANDS = "gameday.allows_commands"
"""Key of a click context's `meta`: the command line agrees to a system file's commands."""


def _allow_commands(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    del param
    ctx.meta[ALLOWS_COMMANDS] = bool(value)


_WHERE = (
    click.option(
        "--stack",
        type=click.Choice(list(STACKS)),
        show_default=EMBEDDED,
        **setting("stack"),
        help="Where the system runs: started here, in containers, or already somewhere.",
    ),
    click.option(
        "--system",
        help="The system file; default our coupon issuance service.",
        callback=setting("system")["callback"],
    ),
    click.option(
        "--runs",
        "runs_dir",
        type=click.Path(path_type=Path, file_okay=False),
        show_default="runs",
        help="Where the evidence goes.",
        **setting("runs"),
    ),
    *_PROJECT,
    click.option("--short", is_flag=True, help="The experiment's short form."),
    click.option("--reuse", is_flag=True, help="The stack that `gameday up` keeps running."),
    allow_target("A host that is not this machine and may be broken. Can be repeated."),
    click.option(
        "--allow-commands",
        is_flag=True,
        expose_value=False,
        callback=_allow_commands,
        help="Agree to the commands of a system file from outside this project, unasked.",
    ),
    click.option(
        "--webhook-listen",
        metavar="ADDR:PORT",
        callback=_listen,
        help="Receive Alertmanager's notifications here; `gameday plan` prints what to paste.",
    ),
)


def where(command: Decorated) -> Decorated:
    """The options of an experiment on a stack."""
    for option in reversed((*_WHERE, lang_option)):
        command = option(command)
    return command


def own_project_options(command: Decorated) -> Decorated:
    """The options that name a compose project of one's own."""
    for option in reversed(_PROJECT):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectOptions:
    """What a command line says of a stack, and of a compose project of one's own."""

    stack: str
    compose_file: Path | None
    service_map: str | None
    share_volumes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WhereOptions(ProjectOptions):
    """What a command line says of the system and its stack."""

    system: str | None
    runs_dir: Path
    short: bool
    reuse: bool
    allowed: "Allowed"
    webhook_listen: "Listen | None"


def on_stack(inputs: "Inputs", options: WhereOptions) -> tuple["Inputs", "OwnProject | None"]:
    """The inputs with the proxies that a compose project of one's own brings, and that project.

    Those of a copy that `gameday up` keeps are written down with it. Raises UsageError, FileError.
    """
    from dataclasses import replace

    from gameday.spec.proxies import renamed
    from gameday.stacks.state import read_kept

    project = own_project(options, reuse=options.reuse)
    if project is not None:
        return replace(inputs, system=project.put_before(inputs.system)), project
    kept = read_kept() if options.reuse else None
    if kept is None or kept.addresses is None:
        return inputs, None
    system = inputs.system.system
    proxies = renamed(system.proxies, kept.addresses.proxies)
    found = replace(inputs.system, system=system.model_copy(update={"proxies": proxies}))
    return replace(inputs, system=found), None


def own_project(options: ProjectOptions, *, reuse: bool = False) -> "OwnProject | None":
    """The compose project that the options name, None: gameday's own. Raises UsageError."""
    from gameday.core.errors import UsageError
    from gameday.core.files import is_file
    from gameday.stacks.own_project import OwnProject
    from gameday.stacks.service_map import ServiceMap

    file, given = options.compose_file, options.service_map
    if file is None and given is None and not options.share_volumes:
        return None
    if not STACKS[options.stack].in_containers or reuse:
        named = {"--compose-file": file, "--service-map": given}
        first = next((name for name in named if named[name] is not None), "--share-volumes")
        also = " and --reuse" if reuse else ""
        raise UsageError(
            f"{first} with --stack {options.stack}{also}: it is for a stack of this run's own",
            help="--stack compose, without --reuse",
        )
    if file is None or given is None:
        cure = "--compose-file FILE --service-map redis=cache,service=api"
        raise UsageError("--compose-file and --service-map come together", help=cure)
    if not is_file(file):
        raise UsageError(f"--compose-file: no file {str(file)!r}", help="the path of a file")
    return OwnProject(file, ServiceMap.parse(given), share_volumes=options.share_volumes)


class WrittenType(click.ParamType[Any]):
    """A value as people write it: a `duration` (`1s`, `500ms`) or a `rate` (`1000/s`, `300/m`)."""

    def __init__(self, name: Literal["duration", "rate"]) -> None:
        self.name = name

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "timedelta | Rate":
        from gameday.core.units import Rate, parse_duration

        try:
            return Rate.parse(value) if self.name == "rate" else parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION, RATE = WrittenType("duration"), WrittenType("rate")


_AGE = re.compile(r"(\d{1,9})(s|m|h|d|w)", re.ASCII)
AGE_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MOST_S = 100 * 366 * 86_400


class AgeType(click.ParamType[int]):
    """An age as people write it, in seconds: `90d`, `2w`, `36h`."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = _AGE.fullmatch(value)
        if match is None:
            self.fail(f"{value!r} is not an age: write a number and s, m, h, d or w", param, ctx)
        age_s = int(match[1]) * AGE_UNITS_S[match[2]]
        if age_s > _MOST_S:
            self.fail(f"{value!r} is longer than a hundred years", param, ctx)
        return age_s


no_responder = click.option("--no-responder", is_flag=True, help="The same as --responder none.")
responder_delay = click.option(
    "--responder-delay",
    type=DURATION,
    show_default="1s",
    **setting("responder_delay"),
    help="How long the bot waits for a person (`gameday ack`) after the alert.",
)
