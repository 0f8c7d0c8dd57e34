"""Slack's form of a notice: blocks for people, and a fallback text for what shows no blocks.

Every block is `plain_text`, which obeys no formatting, so that a title cannot make itself bold or
a link. `&`, `<` and `>` are escaped all the same, as Slack asks: `<!channel>` and `<@U123>` are
how it is told to call people. Receivers of the same form call people by `@all` or `@channel`
in a text, so an `@` is parted from what follows by a space that nobody sees.
"""

import re
from collections.abc import Sequence
from typing import Final

from gameday.report.notify.notice import Notice

# What Slack takes of each at the most; more than that and it refuses the whole message.
MOST_HEADER: Final = 150
MOST_SECTION: Final = 3000
MOST_FIELDS: Final = 10
MOST_FIELD: Final = 2000
MOST_FALLBACK: Final = 3000
_CALLS: Final = re.compile(r"@(?=\w)")
_APART: Final = "@\u200b"


def escaped(text: str) -> str:
    """A text in which nothing is formatted, linked, or calls anybody."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _CALLS.sub(_APART, plain)


def fitting(text: str, most: int) -> str:
    """A text escaped and cut to `most` characters, never within an escape."""
    whole = escaped(text)
    if len(whole) <= most:
        return whole
    kept = list[str]()
    length = 1  # of the sign that something is missing
    for each in text:
        length += len(escaped(each)) + (each == "@")
        if length > most:
            break
        kept.append(each)
    return escaped("".join(kept)) + "…"


def blocks(notice: Notice, language: str) -> Sequence[object]:
    """The message as blocks: its headline, its text, a field for each fact."""
    found: list[object] = [{"type": "header", "text": _plain(notice.head(language), MOST_HEADER)}]
    if notice.text:
        found.append({"type": "section", "text": _plain(notice.text, MOST_SECTION)})
    lines = [f"{each.label(language)}: {each.text(language)}" for each in notice.facts]
    for at in range(0, len(lines), MOST_FIELDS):
        fields = [_plain(line, MOST_FIELD) for line in lines[at : at + MOST_FIELDS]]
        found.append({"type": "section", "fields": fields})
    return found


def fallback(notice: Notice, language: str) -> str:
    """The message for a notification of a phone, a screen reader, and what shows no blocks."""
    return fitting(notice.plain(language), MOST_FALLBACK)


def _plain(text: str, most: int) -> object:
    return {"type": "plain_text", "text": fitting(text, most), "emoji": False}
