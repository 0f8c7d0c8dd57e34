"""A page of Markdown alone, without charts or scripts: the report of a game day.

It looks like the page of a run, is one file, and loads nothing. A file of a run that it leads to
is one that the caller names: everything else is text.
"""

import base64
import hashlib
import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Final

from gameday.report.html.body import render
from gameday.report.markdown import one_line
from gameday.report.messages import Messages

_HEAD: Final = re.compile(r"\A---\n(.*?\n)?---\n", re.DOTALL)
_STATUS: Final = re.compile(r"^status:\s*[\"']?([a-z ]{1,20})", re.MULTILINE)
_COMMENT: Final = re.compile(r"^<!-- [^\n]* -->\n?\Z", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPage:
    """A page, without its text: verdict, names, and the note on what people must fill in.

    `linked` may put links into the HTML of the text; what it is given is escaped already.
    """

    verdict: str
    names: str
    note: str
    made: str
    linked: Callable[[str], str] = lambda made: made


def text_page(markdown: str, about: TextPage, say: Messages) -> bytes:
    """The whole file."""
    text = markdown.replace("\r\n", "\n")
    head = _HEAD.match(text)
    status = _STATUS.search(head[0]) if head else None
    body = render(_COMMENT.sub("", text[head.end() :] if head else text), lambda _name: "", say)
    style = (resources.files("gameday") / "report" / "html" / "page.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    title = html.escape(body.title or one_line(about.names))
    kind = about.verdict if about.verdict in ("passed", "failed") else "unknown"
    verdict = html.escape(_plain(say.word(about.verdict)))
    shown = html.escape(_plain(say.word(status[1].strip() if status else "draft")))
    page = (
        f'<!doctype html>\n<html lang="{say.language}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{style}</style></head>\n"
        f'<body><a class="skip" href="#text">{_words(say, "html.skip")}</a>'
        f'<header class="top {kind}"><p class="verdict"><b>{verdict}</b> '
        f'<span class="quiet">{html.escape(one_line(about.names))}</span> '
        f'<span class="chip">{shown}</span></p><p class="note">{html.escape(about.note)}</p>'
        f'<details class="contents"><summary>{_words(say, "html.contents")}</summary>'
        f"<nav>{body.contents}</nav></details></header>"
        f'<main id="text">{about.linked(body.html)}</main>'
        f"<footer>{html.escape(about.made)}</footer></body></html>\n"
    )
    return page.encode("utf-8", "replace")


def _words(say: Messages, message: str) -> str:
    return html.escape(say.plain(message))


def _plain(markup: str) -> str:
    return markup.replace("*", "")
