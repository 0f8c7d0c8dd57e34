"""Markdown from texts that were written for something else: docstrings, help, values.

Text between backticks is code and stays as it is; all else is escaped, so that a `<` or a `*` in
a description is shown and not obeyed.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

_CODE = re.compile(r"(`+)(.+?)\1")
_SPECIAL = re.compile(r"([\\*_<>\[\]{}|#$~^])")


def prose(text: str) -> str:
    """A description on one line, its code left as code."""
    line = " ".join(text.split())
    parts, end = [], 0
    for match in _CODE.finditer(line):
        parts += [_escaped(line[end : match.start()]), code(match[2])]
        end = match.end()
    return "".join([*parts, _escaped(line[end:])])


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def code(text: str) -> str:
    """A value as code, whatever is in it; it may stand in a table."""
    ticks = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}".replace("|", r"\|")


def paragraphs(text: str) -> str:
    """A docstring: its paragraphs, each on a line of its own."""
    return "\n\n".join(prose(part) for part in re.split(r"\n\s*\n", text.strip()))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table; its cells are Markdown already."""
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def block(language: str, text: str) -> str:
    """A fenced block, longer than any fence in it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"
