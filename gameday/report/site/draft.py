"""The postmortem of a run as HTML, from Markdown that people may have edited.

HTML in it is text. Links lead within the page; of an address elsewhere the words stand there, with
the address behind them. Pictures are the charts that the site has itself.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from html import unescape
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from gameday.core import files
from gameday.report.site.html import Html

LARGEST_BYTES: Final = 4 * files.MIB  # beyond it nobody reads, and no browser likes it
_COMMENT: Final = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE: Final = re.compile(r"<code>([^<>]*)</code>")
_FRONT: Final = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
# Letters for private use stand for the tags of our own code spans while Markdown is read.
_OPEN, _CLOSE = "\ue000", "\ue001"
_CHART: Final = re.compile(r"charts/([a-z0-9-]+)(?:\.[a-z]+)?\.svg\Z")


def draft_of(path: Path, charts: Collection[str]) -> Html | None:
    """The page of a draft on the disk, None where it is a link, or cannot be read."""
    if path.is_symlink():
        return None
    try:
        raw = files.read_bytes(path, LARGEST_BYTES)
    except OSError:
        return None
    return draft_html(raw.decode("utf-8", "replace"), charts)


def draft_html(markdown: str, charts: Collection[str]) -> Html:
    """The page; `charts` are the names of the pictures that lie beside it."""
    shown = _FRONT.sub("", markdown.replace(_OPEN, "").replace(_CLOSE, ""))
    shown = _COMMENT.sub("", shown)  # seals, and what parts an @name from a code host's reader
    shown = _CODE.sub(rf"{_OPEN}\1{_CLOSE}", shown)
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(shown)
    for token in tokens:
        _deeper(token)
        if token.children:
            token.children = list(_own(token.children, charts))
    made = reader.renderer.render(tokens, reader.options, {})
    wide = '<div class="scroll" role="group" tabindex="0" aria-label="Table"><table>'
    made = made.replace("<table>", wide).replace("</table>", "</table></div>")
    return Html(made.replace(_OPEN, "<code>").replace(_CLOSE, "</code>"))


def _deeper(token: Token) -> None:
    """A heading goes below that of the page around it."""
    if token.type in {"heading_open", "heading_close"}:
        token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"


def _own(tokens: Sequence[Token], charts: Collection[str]) -> Iterator[Token]:
    """The tokens of a line; a link that leads elsewhere becomes its words and the address."""
    elsewhere: list[str] = []
    for token in tokens:
        address = unescape(str(token.attrGet("href") or ""))
        if token.type == "image":
            yield _picture(token, charts)
        elif token.type == "link_open" and (elsewhere or not address.startswith("#")):
            elsewhere.append(address)
        elif token.type == "link_close" and elsewhere:
            yield _text(f" ({elsewhere.pop()})")
        else:
            yield token


def _picture(token: Token, charts: Collection[str]) -> Token:
    found = _CHART.match(str(token.attrGet("src") or ""))
    name = f"{found[1]}.svg" if found is not None else ""  # those of the site are in its language
    if name in charts:
        token.attrSet("src", name)
        token.attrSet("loading", "lazy")
        return token
    return _text(token.content)


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)
