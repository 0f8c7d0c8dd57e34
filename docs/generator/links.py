"""Links of the site: those to files of the repository, and whether each leads somewhere.

A page links to a file outside `docs/` as a code host wants it, `../examples/responder.py`. In the
site that file lies beside the page, to be read. When the site is built every link of every page
is followed: to a file that is there, and to an anchor that the page has. Addresses of other hosts
are not asked for.
"""

import os
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from gameday.cli.key_reference import slug

_LINK: Final = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<to>\.\./[^)\s]+)\)")
_HEADING: Final = re.compile(r"^#{1,6}\s+(.*?)\s*$", re.MULTILINE)
_FENCED: Final = re.compile(r"^(`{3,}|~{3,}).*?^\1", re.DOTALL | re.MULTILINE)
_GENERATED: Final = ("genindex.html", "search.html")


def anchors(markdown: str) -> set[str]:
    """The anchors of the headings of a Markdown file."""
    found: set[str] = set()
    for title in _HEADING.findall(_FENCED.sub("", markdown)):
        name = slug(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title))
        number = 0
        while (each := f"{name}-{number}" if number else name) in found:
            number += 1
        found.add(each)
    return found


def dead(page: Path) -> Iterator[str]:
    """The links of a Markdown file that lead nowhere: no such file, or no such heading in it."""
    text = page.read_text()
    for to in re.findall(r"\]\(([^)\s]+)\)", _FENCED.sub("", text)):
        address = urlsplit(to)
        if address.scheme or address.netloc:
            continue
        target = page.parent / unquote(address.path) if address.path else page
        if not target.exists():
            yield f"{page}: {to}: there is no {target.name}"
        elif address.fragment and address.fragment not in anchors(target.read_text()):
            yield f"{page}: {to}: {target.name} has no such heading"


def to_the_repository(app: Any, name: str, content: list[str]) -> None:
    """Make of a link to a file of the repository one to its copy in the site."""
    here = Path(app.srcdir, name).parent

    def copied(match: re.Match[str]) -> str:
        path = match["to"].partition("#")[0]
        target = Path(os.path.normpath(here / path))
        if target.is_relative_to(app.srcdir) or not target.exists():
            return match[0]
        text = match["text"].strip("`")
        return f"{{download}}`{text} <{path}>`" if target.is_file() else f"`{text}`"

    content[0] = _LINK.sub(copied, content[0])


class _Page(HTMLParser):
    """The links and the anchors of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.links.add(value)
            elif value and name in ("id", "name"):
                self.ids.add(value)


def broken(site: Path) -> Iterator[str]:
    """The links of the built pages that lead nowhere."""
    pages: dict[Path, _Page] = {}
    for path in sorted(site.rglob("*.html")):
        if "_static" not in path.parts:
            pages[path] = _Page()
            pages[path].feed(path.read_text())
    for path, page in pages.items():
        for link in sorted(page.links):
            if why := _problem(link, path, pages):
                yield f"{path.relative_to(site)}: {link}: {why}"


def _problem(link: str, path: Path, pages: Mapping[Path, _Page]) -> str:
    """The reason for which a link of the page at `path` leads nowhere, "" if it leads somewhere."""
    address = urlsplit(link)
    if address.scheme or address.netloc:
        return ""
    target = path.parent / unquote(address.path) if address.path else path
    target = Path(os.path.normpath(target))
    if not target.exists():
        return "no such file"
    if not address.fragment or target not in pages or path.name in _GENERATED:
        return ""
    return "" if unquote(address.fragment) in pages[target].ids else "no such anchor"


def check(app: Any, failure: Exception | None) -> None:
    """Warn of each link of the site that leads nowhere; a warning ends the build with an error."""
    if failure is not None or app.builder.name != "html":
        return
    from sphinx.util import logging

    for line in broken(Path(app.outdir)):
        logging.getLogger(__name__).warning("%s", line)
