"""The page of the commands: every command with its options, from the parsers themselves.

The walk is that of the manual page (`gameday help --man`); here its lines are Markdown.
"""

import re
from collections.abc import Iterator
from typing import Final

import click

from gameday.cli import main
from gameday.cli.key_markdown import block, code, prose, table
from gameday.cli.manual import every_command
from gameday.core.settings.keys import KEYS
from gameday.core.settings.notify import ABOUT

_PREFORMATTED: Final = "\b"  # click's mark of lines that stay as they are


def page() -> str:
    """The page of all commands, and of the variables that they read."""
    settings = main.context_settings
    root = click.Context(main, info_name="gameday", **settings)
    lines = [
        "# Commands\n",
        "The same stands in `gameday help COMMAND` and `gameday help --man`.\n",
    ]
    lines += _options(main, root)
    lines += _below(root)
    lines += ["## Environment\n"]
    about = {key.variable: key.about for key in KEYS.values()} | ABOUT
    rows = [(code(name), prose(text)) for name, text in about.items()]
    lines += table(("variable", "meaning"), rows)
    return "\n".join(lines)


def every() -> Iterator[click.Context]:
    """Each command of gameday that is shown, with the context it stands in."""
    return every_command(click.Context(main, info_name="gameday", **main.context_settings))


def _below(root: click.Context) -> Iterator[str]:
    for inside in every_command(root):
        command = inside.command
        depth = len(inside.command_path.split())
        yield f"{'#' * min(depth, 4)} {code(inside.command_path)}\n"
        usage = " ".join([inside.command_path, *command.collect_usage_pieces(inside)])
        yield block("text", usage)
        yield from _help(command.help or "")
        yield from _options(command, inside)


def _help(text: str) -> Iterator[str]:
    for part in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in part.splitlines()]
        if lines and lines[0] == _PREFORMATTED:
            yield block("text", "\n".join(lines[1:]))
        else:
            yield prose(" ".join(lines)) + "\n"


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    rows = []
    for param in command.get_params(context):
        if (record := param.get_help_record(context)) is not None:
            rows.append((code(record[0]), prose(record[1] or "See above.")))
    if rows:
        yield from table(("option", "meaning"), rows)
