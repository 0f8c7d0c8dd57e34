"""Markdown of a postmortem as HTML in which nothing but our own markup can be.

HTML in the Markdown is off. What our own escaping writes in it (`report/markdown`: code in
entities, an empty comment that parts an address) is read by two rules of its own; everything else
that looks like a tag is shown as text. An address becomes text too: a report leads nowhere else.
"""

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from gameday.report.messages import Messages

SHORT: Final = 16  # letters; a longer name takes too much of a printed table to stay whole
_CODE: Final = re.compile(r"<code>([^<>]{0,20000})</code>")
_PARTED: Final = "<!-- -->"
_CHART: Final = re.compile(r"charts/([a-z]+)(?:\.[a-z]+)?\.svg\Z")
_FILE: Final = re.compile(r"(?![./])[\w.-]+(/(?![./])[\w.-]+)*\Z")
_SECONDS: Final = re.compile(r"-?\d{1,12}\.\d{3}\Z")
_UNIT: Final = re.compile(r"(?<=\d) (?=(?:ms|s|%|h)(?![\w-]))")
_TODO: Final = "TODO(person):"
_BOX: Final = re.compile(r"\[([ xX])\]\s+")
Figure = Callable[[str], str]
Rule = Callable[[Sequence[Token], int], str]


@dataclass(frozen=True, slots=True)
class Body:
    """A page's inside: its title, and the HTML with the contents list apart."""

    title: str
    contents: str
    html: str


def render(markdown: str, figure: Figure, say: Messages) -> Body:
    """Render Markdown; `figure` makes the picture of a chart by its name."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.inline.ruler.before("html_inline", "own_markup", _own_markup)
    tokens = reader.parse(markdown)
    for token in tokens:
        token.attrs.pop("style", None)  # of a column that a person aligned: the page forbids it
    heads = _heads(tokens)
    _free_charts(tokens)
    _mark_to_do(tokens)
    _mark_instants(tokens, say)
    _keep_units(tokens)
    _keep_names(tokens)
    scroll = html.escape(say.plain("html.table"))
    around = f'<div class="wide" tabindex="0" role="group" aria-label="{scroll}"><table>'
    rules: dict[str, Rule] = {
        "table_open": lambda _tokens, _at: around,
        "table_close": lambda _tokens, _at: "</table></div>",
        "image": lambda tokens, at: _image(tokens[at], figure),
        "link_open": lambda tokens, at: _link(tokens[at]),
        "link_close": lambda tokens, at: "</a>" if _leads(_start(tokens, at)) else "",
    }
    for name, rule in rules.items():
        reader.add_render_rule(name, _as_method(rule))
    made = reader.renderer.render(tokens, reader.options, {})
    title = next((text for level, _, text in heads if level == "h1"), "")
    links = [
        f'<li><a href="#{id_}">{html.escape(t)}</a></li>' for lv, id_, t in heads if lv == "h2"
    ]
    return Body(title, f"<ol>{''.join(links)}</ol>", made)


def _as_method(rule: Rule) -> Callable[..., str]:
    """The rule as markdown-it calls it: with the renderer, the options and an environment."""

    def rendered(_renderer: object, tokens: Sequence[Token], at: int, *_: object) -> str:
        return rule(tokens, at)

    return rendered


def _own_markup(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - markdown-it's signature
    """Read `<code>` with entities in it, and the empty comment, as our escaping writes them."""
    if state.src.startswith(_PARTED, state.pos):
        state.pos += len(_PARTED)
        return True
    found = _CODE.match(state.src, state.pos)
    if found is None:
        return False
    if not silent:
        token = state.push("code_inline", "code", 0)
        token.content = html.unescape(found[1])
    state.pos = found.end()
    return True


def _heads(tokens: list[Token]) -> list[tuple[str, str, str]]:
    """The headings, each with an id to lead to: their tag, id and text."""
    found: list[tuple[str, str, str]] = []
    for token, inside in pairwise(tokens):
        if token.type == "heading_open":
            id_ = f"s{len(found)}"
            token.attrSet("id", id_)
            found.append((token.tag, id_, _text(inside)))
    return found


def _keep_names(tokens: list[Token]) -> None:
    """Mark short names, which a narrow column of a table would break within."""
    for cell, token in pairwise(tokens):
        for child in (token.children or ()) if cell.type == "td_open" else ():
            if child.type == "code_inline" and len(child.content) <= SHORT:
                child.attrSet("class", "short")


def _free_charts(tokens: list[Token]) -> None:
    """Take the paragraph away around a chart: its table may not stand in one."""
    for before, inside, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if [each.type for each in inside.children or ()] == ["image"]:
            before.hidden = after.hidden = before.type == "paragraph_open"


def _text(token: Token) -> str:
    return "".join(
        " " if each.type in ("softbreak", "hardbreak") else each.content
        for each in token.children or [token]
    )


def _mark_to_do(tokens: list[Token]) -> None:
    """Mark what a person must fill in, and show the boxes of action items."""
    for at, token in enumerate(tokens):
        if token.type == "inline" and token.content.startswith(_TODO):
            opened = tokens[at - 2] if at > 1 and tokens[at - 2].nesting == 1 else tokens[at - 1]
            opened.attrJoin("class", "todo")
        elif token.type == "inline" and token.children and (box := _BOX.match(token.content)):
            first = token.children[0]
            if first.type == "text" and _BOX.match(first.content):
                shown = "☐ " if box[1] == " " else "☑ "
                first.content = shown + _BOX.sub("", first.content, count=1)


def _mark_instants(tokens: list[Token], say: Messages) -> None:
    """Give each row of a timeline its seconds: its first cell under our head of the column."""
    head, row, first, timed = say.plain("timeline.col_at"), None, False, False
    for token in tokens:
        if token.type == "thead_open":
            timed, first = False, True
        elif token.type == "tr_open":
            row, first = token, True
        elif token.type == "inline" and first and row is not None:
            first = False
            if token.content == head and row.level and not timed:
                timed = True
            elif timed and _SECONDS.match(token.content):
                row.attrSet("data-t", token.content)
        elif token.type == "table_close":
            row, timed = None, False


def _keep_units(tokens: list[Token]) -> None:
    """Keep a number and its unit on one line."""
    for token in tokens:
        for child in token.children or ():
            if child.type == "text":
                child.content = _UNIT.sub("\u00a0", child.content)


def _image(token: Token, figure: Figure) -> str:
    found = _CHART.match(str(token.attrGet("src") or ""))
    made = figure(found[1]) if found else ""
    return made or html.escape(token.content)


def _leads(token: Token) -> bool:
    """True for a file of the run directory; nothing else is led to."""
    return _FILE.match(str(token.attrGet("href") or "")) is not None


def _link(token: Token) -> str:
    if _leads(token):
        return f'<a href="{html.escape(str(token.attrGet("href")))}">'
    return f"({html.escape(str(token.attrGet('href') or ''))}) "


def _start(tokens: Sequence[Token], at: int) -> Token:
    """The opening of the link that ends at `at`: a link holds no other."""
    return next(each for each in reversed(tokens[:at]) if each.type == "link_open")
