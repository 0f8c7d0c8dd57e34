"""Changed flags: commands of gameday in a playbook that this gameday does not have.

What a command is, is known to whoever has the commands (`cli`); here they are found in the text,
and the names in their arguments are looked for.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from gameday.core.errors import one_of_them
from gameday.plan.rot.passages import Pages, Passage
from gameday.plan.rot.surroundings import Argument, Surroundings
from gameday.spec.inputs import FileWarning, Findings

_SHELLS: Final = frozenset({"", "sh", "bash", "shell", "zsh", "console", "shell-session", "text"})
_ENDS: Final = re.compile(r"\|\||&&|[|;&]|(?:^|\s)#.*$")
_ASSIGNED: Final = re.compile(r"[A-Za-z_]\w*=.*")
_BEFORE: Final = frozenset({"$", "%", ">", "sudo", "time", "exec", "nohup", "nice", "env", "watch"})
_TO_FILE: Final = re.compile(r"\d?>>?(.*)")
_NAME: Final = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*", re.ASCII)
_CALLED: Final = re.compile(r"gameday|--scale")
_SCALED: Final = re.compile(r"\bcompose\b[^\n|;&]{0,300}?--scale[ =]([A-Za-z][\w-]*)=")
_NAMES_OF_FILES: Final = frozenset({"experiment", "files", "day"})
_OF_EITHER: Final = frozenset({"plan", "day", "validate"})  # take a game day or an experiment
_LONGEST: Final = 2000
_MOST_LINES: Final = 1000  # calls of gameday in one playbook: each is taken apart


def of_pages(pages: Pages, around: Surroundings) -> Findings:
    """Every command line in code."""
    left = _MOST_LINES
    for passage in pages.passages:
        is_shell = passage.kind == "fence" and passage.info.split(" ")[0].lower() in _SHELLS
        if (passage.kind != "code" and not is_shell) or not _CALLED.search(passage.text):
            continue
        for at, words in _lines(passage.text):
            left -= 1
            if left < 0:
                return
            yield from _line(passage, at, words, pages, around)
        for match in _SCALED.finditer(passage.text):
            if around.services and match[1] not in around.services:
                cure = one_of_them(match[1], around.services)
                text = f"the compose file has no service {match[1]!r}: {cure}"
                yield FileWarning(passage.place(match.start(1)), text)


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """The words after `gameday` of each command line, and where that line begins."""
    at = 0
    for whole in text.replace("\\\n", "  ").split("\n"):
        begin, line = 0, whole[:_LONGEST]
        for end in [*(m.span() for m in _ENDS.finditer(line)), (len(line), len(line))]:
            words = _words(line[begin : end[0]])
            if words is not None:
                yield at + begin + max(0, line[begin:].find("gameday")), words
            begin = end[1]
        at += len(whole) + 1


def _words(part: str) -> list[str] | None:
    """The arguments of gameday in a part of a command line, None where it is no call of it."""
    try:
        words = shlex.split(part)
    except ValueError:  # a quote without its end
        words = part.split()
    words = [*_without_redirections(words)]
    while words and (words[0] in _BEFORE or _ASSIGNED.fullmatch(words[0])):
        words = words[1:]
    if words[:1] == ["gameday"] or [Path(word).name for word in words[:1]] == ["gameday"]:
        return words[1:]
    is_python = bool(words) and Path(words[0]).name.startswith("python")
    return words[3:] if is_python and words[1:3] == ["-m", "gameday"] else None


def _without_redirections(words: Sequence[str]) -> Iterator[str]:
    """What a shell would hand on: `> file` is its own. A `>` in front is a prompt."""
    is_file = False
    for n, word in enumerate(words):
        match = _TO_FILE.fullmatch(word) if n else None
        if match is None and not is_file:
            yield word
        is_file = match is not None and not match[1]


def _line(
    passage: Passage, at: int, words: Sequence[str], pages: Pages, around: Surroundings
) -> Findings:
    found = around.understand(words)
    if found.problem:
        where = passage.text.find(found.value, at) if found.value else at
        yield FileWarning(passage.place(max(at, where)), found.problem)
        return
    for each in found.arguments:
        problem = _argument(each, pages, around)
        if problem:
            where = passage.text.find(each.value, at)
            yield FileWarning(passage.place(max(at, where)), problem)


def _argument(each: Argument, pages: Pages, around: Surroundings) -> str:
    """Why an argument names nothing, "" where it does, or where nobody can tell."""
    value = each.value
    is_name = _NAME.fullmatch(value) is not None
    if each.name in _NAMES_OF_FILES:
        named, what = _named(each, around)
        is_there = value in named or Path(value).exists()
        cure = one_of_them(value, named)
        return f"there is no {what} {value!r}: {cure}" if is_name and not is_there else ""
    if (each.command, each.name) != ("incident act", "what"):
        return ""
    book, colon, number = value.partition(":")
    if colon and number.isdecimal():  # in a drill
        cure = one_of_them(book, around.playbooks)
        return "" if book in around.playbooks else f"there is no playbook {book!r}: {cure}"
    if value.isdecimal() and int(value) not in pages.items:
        cure = one_of_them(value, map(str, pages.items)) or "it has no numbered items"
        return f"there is no step {value!r}: {cure}"
    if is_name and not value.isdecimal() and value not in around.actions:
        return f"{value!r} is not an action of the system: {one_of_them(value, around.actions)}"
    return ""


def _named(each: Argument, around: Surroundings) -> tuple[frozenset[str], str]:
    """Everything that an argument may name, and what that is."""
    if each.command in _OF_EITHER:
        return around.experiments | around.days, "experiment or game day"
    if each.command.startswith("schedule"):
        return around.days, "game day"
    return around.experiments, "experiment"
