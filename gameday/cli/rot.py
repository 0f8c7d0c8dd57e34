"""Rot, as far as only the command line can tell: its own commands, and links that are asked.

A command line of a playbook is taken as click would take it, without being run. A web address is
asked with `--links` alone, a few at a time, in bounded time, and only where it may be: on this
machine, or a host of `--allow-target`.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

import click

from gameday.core.errors import GamedayError, Place, one_of_them
from gameday.plan.rot.surroundings import Argument, Understood
from gameday.spec.inputs import FileWarning

if TYPE_CHECKING:
    from gameday.core.network.allow_list import Allowed
    from gameday.core.network.http import HttpClient

LINK_S: Final = 10.0
LINK_BYTES: Final = 8_000_000
MOST_LINKS: Final = 200
AT_ONCE: Final = 8
REDIRECTS: Final = range(300, 400)
NOT_TOLD: Final = frozenset({401, 403, 429})  # it is there, and does not speak with us


def understand(words: Sequence[str]) -> Understood:
    """Take a command line of gameday as it would be taken; its problem, or its arguments."""
    from gameday.cli import main

    command: click.Command = main
    path: list[str] = []
    left = list(words)
    ctx = click.Context(main, info_name="gameday")
    while isinstance(command, click.Group):
        name, is_written = _next(command, left, ctx)
        if name is None:
            return _no_command(command, left, ["gameday", *path], ctx)
        found = command.get_command(ctx, name)
        if found is None:
            return Understood()
        if is_written:
            path.append(left.pop(0))
        command = found
        ctx = click.Context(found, info_name=name, parent=ctx)
    hands_on = command.context_settings.get(
        "ignore_unknown_options", command.ignore_unknown_options
    )
    return Understood() if hands_on else _options(command, left, path, ctx)


def _next(group: click.Group, left: Sequence[str], ctx: click.Context) -> tuple[str | None, bool]:
    """The command of a group that comes next, None where it has none; and whether it is written.

    A group may have a `default_command`, which need not be.
    """
    if left[:1] and left[0] in group.list_commands(ctx):
        return left[0], True
    return getattr(group, "default_command", None), False


def _no_command(
    group: click.Group, left: Sequence[str], path: Sequence[str], ctx: click.Context
) -> Understood:
    """A group alone, its own options, or a command that it has not."""
    if not left or _is_open(left[0]):
        return Understood()
    if left[0].startswith("-"):
        return _options_alone(group, left, path, ctx)
    from gameday.cli import LazyGroup

    if type(group).parse_args not in (click.Group.parse_args, LazyGroup.parse_args):
        return Understood()  # it has a way of its own with words
    cure = one_of_them(left[0], group.list_commands(ctx))
    return Understood(f"{' '.join(path)!r} has no command {left[0]!r}: {cure}", left[0])


def _options_alone(
    command: click.Command, words: Sequence[str], path: Sequence[str], ctx: click.Context
) -> Understood:
    """`gameday --version`, and nothing behind it."""
    flags = _flags(command, ctx)
    name = words[0].partition("=")[0]
    if name in flags:
        return Understood()
    return Understood(_no_option(path, name, flags), name)


def _options(
    command: click.Command, words: Sequence[str], path: Sequence[str], ctx: click.Context
) -> Understood:
    """The options and arguments of one command."""
    flags = _flags(command, ctx)
    spoken = ["gameday", *path]
    given: list[str] = []
    left = list(words)
    only_arguments = False
    while left:
        word = left.pop(0)
        if only_arguments or not word.startswith("-") or word == "-":
            given.append(word)
            continue
        if word == "--":
            only_arguments = True
            continue
        name, equals, value = word.partition("=")
        option = flags.get(name)
        if option is None:
            return Understood(_no_option(spoken, name, flags), name)
        if option.is_flag or option.count:
            continue
        if not equals and not left:
            return Understood(f"{' '.join(spoken)!r}: {name!r} needs a value", name)
        problem = _wrong_choice(option, value if equals else left.pop(0), f"{spoken[-1]} {name}")
        if problem is not None:
            return problem
    return _arguments(command, given, path)


def _no_option(path: Sequence[str], name: str, flags: Iterable[str]) -> str:
    near = get_close_matches(name, sorted(flags), n=1)
    cure = f"did you mean {near[0]!r}?" if near else f"{' '.join(path)} --help lists them"
    return f"{' '.join(path)!r} has no option {name!r}: {cure}"


def _flags(command: click.Command, ctx: click.Context) -> dict[str, click.Option]:
    options = (param for param in command.get_params(ctx) if isinstance(param, click.Option))
    return {name: each for each in options for name in (*each.opts, *each.secondary_opts)}


def _wrong_choice(param: click.Parameter, value: str, shown: str) -> Understood | None:
    """The problem with a value that is none of those that there are to choose from."""
    if not isinstance(param.type, click.Choice) or _is_open(value):
        return None
    choices = [str(each) for each in param.type.choices]
    if value in choices:
        return None
    return Understood(f"{shown!r} cannot be {value!r}: {one_of_them(value, choices)}", value)


def _arguments(command: click.Command, given: Sequence[str], path: Sequence[str]) -> Understood:
    params = [param for param in command.params if isinstance(param, click.Argument)]
    found: list[Argument] = []
    left = list(given)
    for param in params:
        values = left if param.nargs == -1 else left[: param.nargs]
        left = [] if param.nargs == -1 else left[param.nargs :]
        for value in values:
            problem = _wrong_choice(param, value, f"{' '.join(path)} {param.name}")
            if problem is not None:
                return problem
            if not _is_open(value):
                found.append(Argument(" ".join(path), param.name or "", value))
    if left and not any(map(_is_open, given)):
        return Understood(f"'gameday {' '.join(path)}' takes no further {left[0]!r}", left[0])
    return Understood(arguments=found)


def _is_open(word: str) -> bool:
    """True for what stands for something else: `RUN`, `<run>`, `…`, `$1`, `[file]`."""
    return word.isupper() or word.startswith(("<", "[", "{", "$", "…", "...")) or "…" in word


async def ask_links(links: Iterable[tuple[Place, str]], allowed: "Allowed") -> list[FileWarning]:
    """Ask each address once; what is dead, and what may not be asked, with its first place."""
    from gameday.core.network.http import HttpClient

    first: dict[str, Place] = {}
    for place, url in links:
        first.setdefault(url.partition("#")[0], place)
    room = asyncio.Semaphore(AT_ONCE)
    async with HttpClient(LINK_S, verify=True, most_bytes=LINK_BYTES) as client:
        asked = list(first.items())[:MOST_LINKS]
        told = await asyncio.gather(*(_ask(client, url, allowed, room) for url, _ in asked))
    found = [
        FileWarning(place, f"the link {url!r}: {why}")
        for (url, place), why in zip(asked, told, strict=True)
        if why
    ]
    return [*found, *_beyond(list(first.items())[MOST_LINKS:])]


def _beyond(left: Sequence[tuple[str, Place]]) -> Iterator[FileWarning]:
    if left:
        url, place = left[0]
        yield FileWarning(place, f"the link {url!r} and {len(left) - 1} more were not looked at")


async def _ask(client: "HttpClient", url: str, allowed: "Allowed", room: asyncio.Semaphore) -> str:
    """Why a link is dead or not known to be alive, "" where it is alive."""
    from urllib.parse import urlsplit

    from gameday.core.network.allow_list import NoAddressError, RefusedError
    from gameday.core.network.http import Ask, HttpError

    host = urlsplit(url).hostname or ""
    try:
        async with room:
            await allowed.resolve(host, 0)
            status = (await client.ask(Ask("GET", url))).status
    except RefusedError as error:
        return f"not looked at: {error.message}; --allow-target {host} lets it be asked"
    except NoAddressError as error:
        return f"dead: {error.message}"
    except HttpError as error:
        return "" if error.kind == "large" and error.status < 400 else f"dead: {error.message}"
    except GamedayError as error:
        return f"not looked at: {error.message}"
    alive = status < 400 or status in NOT_TOLD
    return "" if alive or status in REDIRECTS else f"dead: it answers {status}"
