"""Dead links: files and anchors that are not there, and addresses that are none.

Nothing is asked over the network here; `gameday validate --links` does, and asks for `web`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from gameday.core import files
from gameday.core.errors import Place, one_of_them
from gameday.plan.rot import passages
from gameday.plan.rot.passages import Pages, Passage
from gameday.spec.inputs import FileWarning, Findings, LoadedPlaybook

_SCHEME: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):(.*)", re.DOTALL)
_TITLE: Final = re.compile(r"""\s+(?:"[^"]*"|'[^']*')\s*\Z""")
_HOST: Final = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9._-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:.]+\]")
_NEARLY_WEB: Final = re.compile(r"h?t?t?p?s?|htpp?s?|http?s?s|hhtps?|ttps?", re.IGNORECASE)
_WEB: Final = ("http", "https")
_PAGE_BYTES: Final = 200_000
_MOST_LINKS: Final = 200  # different ones


def of_pages(loaded: LoadedPlaybook, pages: Pages) -> Findings:
    """Each link: its file is there, and its anchor in it, or its address has the form of one."""
    problems: dict[str, str] = {}
    for passage in (each for each in pages.passages if each.kind == "link"):
        target = _target(passage)
        if target not in problems:
            if len(problems) >= _MOST_LINKS:
                return
            problems[target] = _problem(target, loaded, pages)
        if problems[target]:
            yield FileWarning(passage.place(), problems[target])


def web(pages: Pages) -> Iterator[tuple[Place, str]]:
    """The web addresses that are linked, with their places."""
    for passage in (each for each in pages.passages if each.kind == "link"):
        target = _target(passage)
        if target.startswith(("http://", "https://")) and not _web_problem(target):
            yield passage.place(), target


def _target(passage: Passage) -> str:
    """The link without its title and its angle brackets."""
    return _TITLE.sub("", passage.text).strip().removeprefix("<").removesuffix(">")


def _problem(target: str, loaded: LoadedPlaybook, pages: Pages) -> str:
    """Why a link leads nowhere, "" where it leads somewhere as far as this machine can tell."""
    match = _SCHEME.fullmatch(target)
    if match is None:
        return _problem_of_file(target, loaded, pages)
    if match[1].lower() in _WEB:
        return _web_problem(target)
    if _NEARLY_WEB.fullmatch(match[1]):
        return f"the link {target!r} is no address: did you mean 'https://…'?"
    return ""  # mailto, tel, slack: not ours to know


def _problem_of_file(target: str, loaded: LoadedPlaybook, pages: Pages) -> str:
    """The same for a path, with an anchor or without, or an anchor in the playbook itself."""
    path, _, anchor = target.partition("#")
    path, anchor = unquote(path.partition("?")[0]), unquote(anchor)
    if not path:
        nothing = "a link to nothing: write the file or the address that it leads to"
        return _anchor_problem(target, anchor, pages) if target else nothing
    found = loaded.path.parent / path
    if not found.exists():
        near = one_of_them(found.name, _beside(found)) if found.parent.is_dir() else ""
        cure = near if near.startswith("did you") else "name a file that is there"
        space = " (a space is written %20)" if re.search(r"\s", target) else ""
        return f"the link {target!r} leads to no file: {cure}{space}"
    if not anchor or found.suffix != ".md":
        return ""
    try:
        text = files.read_bytes(found, _PAGE_BYTES).decode("utf-8", "replace")
    except OSError as error:
        return f"the link {target!r} leads to what cannot be read: {error.strerror}"
    return _anchor_problem(target, anchor, passages.read(text, path))


def _beside(path: Path) -> list[str]:
    return [each.name for each in path.parent.iterdir()][:1000]


def _anchor_problem(target: str, anchor: str, pages: Pages) -> str:
    if not anchor or anchor.lower() in pages.anchors:
        return ""
    cure = one_of_them(anchor, pages.anchors) or "it has no headings"
    return f"the link {target!r}: there is no heading {anchor!r}: {cure}"


def _web_problem(target: str) -> str:
    if re.search(r"[\s\\]", target):
        return f"the link {target!r} has a space in it, and leads nowhere: write %20"
    try:
        parts = urlsplit(target)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or not _HOST.fullmatch(host if ":" not in host else f"[{host}]"):
        return f"the link {target!r} is no address: write https://HOST/PATH"
    return ""
