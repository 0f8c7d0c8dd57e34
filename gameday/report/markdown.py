"""Text becomes Markdown that shows it, whatever it holds: nothing it says can turn into markup.

What a run met (issue ids, error texts, labels of alerts) was written by the system under test
or by somebody who attacked it. Only `Markup` goes into a postmortem as it stands; every other
text is escaped first, for Markdown and for the HTML that Markdown lets through.
"""

import re
from collections.abc import Sequence
from typing import Final

LONGEST: Final = 400  # about five lines: longer texts are other programs' output
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)
_SPECIAL: Final = re.compile(r"[\\`*_\[\]{}|~#!$^]")
_STARTS_A_BLOCK: Final = re.compile(r"^(\d*(?=[.)](?:\s|$)))?([-+=](?!\d)|[.)](?:\s|$))")
_TICKS: Final = re.compile("`+")
# What code hosts link by themselves after they read the Markdown, so that no escape is seen by
# then: only what parts the text, as an empty comment does, keeps a@b.c, @name and #1 as they are.
_LINKED: Final = re.compile(r"@|&#64;|(?:\\#|\bGH-)(?=\d)", re.IGNORECASE)
_PARTED: Final = r"\g<0><!-- -->"
_HTML: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


class Markup(str):
    """Markdown that is safe as it stands."""

    __slots__ = ()


def text(value: str) -> Markup:
    """`value` as running text, on one line."""
    shown = _SPECIAL.sub(lambda found: "\\" + found[0], one_line(value))
    shown = re.sub(r"[&<>]", lambda found: _HTML[found[0]], shown)
    shown = shown.replace("://", "\\://").replace("www.", "www\\.")
    shown = _LINKED.sub(_PARTED, shown)
    return Markup(_STARTS_A_BLOCK.sub(r"\1\\\2", shown))


def code(value: str) -> Markup:
    """`value` as code, on one line; also in a table, where a code span may hold no bar.

    Nothing in a code span is markup, so it stands there as it is, and a reader of the plain file
    sees the command or the value itself.
    """
    line = one_line(value)
    if not line or "|" in line:
        return Markup(f"<code>{text(line)}</code>")
    ticks = "`" * (max(map(len, _TICKS.findall(line)), default=0) + 1)
    gap = " " if line.startswith("`") or line.endswith("`") else ""
    return Markup(f"{ticks}{gap}{line}{gap}{ticks}")


def table(head: Sequence[Markup], rows: Sequence[Sequence[Markup]]) -> Markup:
    """A table; every row is as long as the head."""
    lines = [head, ["---"] * len(head), *rows]
    return Markup("\n".join("| " + " | ".join(cells) + " |" for cells in lines))


def bullets(items: Sequence[Markup]) -> Markup:
    """A list without order."""
    return Markup("\n".join(f"- {item}" for item in items))


def one_line(value: str) -> str:
    """`value` without what cannot be seen or written, at most `LONGEST` letters of it."""
    value = value.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair has no form
    line = " ".join(_INVISIBLE.sub("", value.replace("\r", "\n")).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
