"""HTML from text: whatever a run holds, it is shown as text and can be nothing else."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from gameday.report.markdown import one_line

_VOID: Final = frozenset({"img", "meta", "input", "link"})


class Html(str):
    """HTML that is safe as it stands."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str | None) -> Html:
    """One element: children that are no `Html` are escaped; `class_` and `for_` lose their bar."""
    named = {key.rstrip("_").replace("_", "-"): each for key, each in attributes.items()}
    written = "".join(
        f' {key}="{escape(one_line(each))}"' for key, each in named.items() if each is not None
    )
    inside = "" if tag in _VOID else "".join(map(text, children)) + f"</{tag}>"
    return Html(f"<{tag}{written}>{inside}")


def text(value: str) -> Html:
    """Words as HTML shows them, on one line and not endless; a space at either end stays."""
    if isinstance(value, Html):
        return value
    before, after = (" " if end == " " else "" for end in (value[:1], value[1:][-1:]))
    return Html(f"{before}{escape(one_line(value))}{after}")


def joined(parts: Iterable[str]) -> Html:
    """Elements, one after the other."""
    return Html("\n".join(map(text, parts)))


def table(label: str, heads: Sequence[str], rows: Sequence[Sequence[str] | Html]) -> Html:
    """A table that scrolls by itself where it is wider than the page; a row may be made already."""
    head = element("tr", *(element("th", each, scope="col") for each in heads))
    lines = [
        row if isinstance(row, Html) else element("tr", *(element("td", cell) for cell in row))
        for row in rows
    ]
    inside = element("table", element("thead", head), element("tbody", joined(lines)))
    return element("div", inside, class_="scroll", role="group", tabindex="0", aria_label=label)


def badge(word: str, state: str) -> Html:
    """A verdict or state: its word, with the colour of `state` beside it."""
    known = {"passed", "valid", "hit", "done", "works", "ready", "kept"}
    bad = {"failed", "invalid", "missed", "false", "late", "broken"}
    colour = "good" if state in known else "bad" if state in bad else "open"
    return element("span", word, class_=f"badge {colour}")
