"""`gameday help`: the help of a command, and all of it as a manual page.

The page is made from the commands themselves, so it never says what they do not: `gameday help
--man | man -l -`, or `> gameday.1` for a package.
"""

import os
import re
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime

import click

from gameday import __version__
from gameday.cli.terminal import emit
from gameday.core.clock import utc_now
from gameday.core.errors import ExitCode, UsageError
from gameday.core.settings.keys import KEYS
from gameday.core.settings.notify import ABOUT

EPOCH = "SOURCE_DATE_EPOCH"  # by which packagers make the same bytes twice
_WIDTH = 66  # before what is special in roff is escaped; 80 with it
_PREFORMATTED = "\b"  # click's mark of lines that stay as they are


@click.command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.option("--man", is_flag=True, help="Print everything as a manual page.")
@click.pass_context
def help_(ctx: click.Context, words: tuple[str, ...], *, man: bool) -> None:
    """Print the help of a command, or all of it as a manual page (--man)."""
    root = ctx.find_root()
    if man:
        emit("\n".join(page(root)) + "\n")
        return
    emit(_found(root, words).get_help() + "\n")


def _found(root: click.Context, words: tuple[str, ...]) -> click.Context:
    """The context of a command. Raises UsageError where there is none of that name."""
    at = root
    for word in words:
        command = at.command.get_command(at, word) if isinstance(at.command, click.Group) else None
        if command is None:
            raise UsageError(
                f"no such command: {' '.join(words)}", help="gameday --help lists them"
            )
        at = click.Context(command, info_name=word, parent=at)
    return at


def page(root: click.Context) -> Iterator[str]:
    """The lines of the manual page, in the macros of man(7)."""
    yield f'.TH GAMEDAY 1 "{_day():%Y-%m-%d}" "gameday {__version__}" "User Commands"'
    yield from (".SH NAME", r"gameday \- practise incidents for real", ".SH SYNOPSIS")
    yield r"\fBgameday\fR \fICOMMAND\fR [\fIOPTIONS\fR] [\fIARGUMENTS\fR]"
    yield ".SH DESCRIPTION"
    yield from _paragraphs(root.command.help or "")
    yield ".SH COMMANDS"
    settings = root.command.context_settings
    yield from _commands(click.Context(root.command, info_name="gameday", **settings))
    yield ".SH ENVIRONMENT"
    told = {key.variable: key.about for key in KEYS.values()} | ABOUT
    for variable, about in told.items():
        yield from (".TP", rf"\fB{_roff(variable)}\fR", *_wrapped(about))
    yield ".SH EXIT STATUS"
    yield "The first of these that applies:"
    for code in ExitCode:
        yield from (".TP", rf"\fB{code:d}\fR", *_wrapped(code.meaning))


def _day() -> datetime:
    """Today, or the day that a packager says. Raises UsageError for what is none."""
    text = os.environ.get(EPOCH)
    if not text:
        return utc_now()
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{EPOCH}: {text!r:.40} is no time", help="write seconds") from None


def every_command(at: click.Context) -> Iterator[click.Context]:
    """Each command below one that is shown, with the context it stands in."""
    group = at.command
    assert isinstance(group, click.Group)
    for name in group.list_commands(at):
        command = group.get_command(at, name)
        if command is None or command.hidden:
            continue
        inside = click.Context(command, info_name=name, parent=at)
        yield inside
        if isinstance(command, click.Group):
            yield from every_command(inside)


def _commands(at: click.Context) -> Iterator[str]:
    """Every command below one, each with what is below it."""
    for inside in every_command(at):
        command = inside.command
        usage = " ".join([inside.command_path, *command.collect_usage_pieces(inside)])
        yield f'.SS "{_roff(usage)}"'
        yield from _paragraphs(command.help or "")
        for param in command.get_params(inside):
            if (record := param.get_help_record(inside)) is not None:
                about = record[1] or "See above."
                yield from (".TP", rf"\fB{_roff(record[0])}\fR", *_wrapped(about))


def _paragraphs(help: str) -> Iterator[str]:
    """A help text, as paragraphs; those that click leaves as they are, too."""
    first = True
    for part in re.split(r"\n\s*\n", help.strip()):
        lines = [line.strip() for line in part.splitlines()]
        kept = lines[0] == _PREFORMATTED
        if not first:
            yield ".PP"
        first = False
        if kept:
            yield from (".nf", *map(_roff, lines[1:]), ".fi")
        else:
            yield from _wrapped(" ".join(lines))


def _wrapped(text: str) -> Iterator[str]:
    """A paragraph, in lines as long as a manual page's source may have."""
    yield from map(_roff, textwrap.wrap(text, _WIDTH, break_on_hyphens=False))


def _roff(text: str) -> str:
    """A text on one line that roff shows and does not obey."""
    line = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    line = line.replace("'", "\\(aq").replace("`", "\\(ga").replace("^", "\\(ha")
    line = "".join(each if ord(each) < 127 else f"\\[u{ord(each):04X}]" for each in line)
    return f"\\&{line}" if line.startswith(".") else line
