"""A k6 script's imports, rewritten so that an engine without a module loader can take it.

k6 scripts are ES modules, and the engine finds no other module. So each `import … from 'name'` at
the top level becomes a `const …` of what `stubs.js` offers under that name, on the same line.
Exports stay as they are. To know the top level, the text is read in tokens: comments, strings,
templates, regular expressions, words and brackets.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gameday.core.errors import FileError, Place

MODULE: Final = "__gameday_module"
_TOKEN: Final = re.compile(
    r"(?P<space>\s+|//[^\n]*|/\*[\s\S]*?(?:\*/|\Z))"
    r"|(?P<string>'(?:\\[\s\S]|[^'\\\n])*+'|\"(?:\\[\s\S]|[^\"\\\n])*+\")"
    r"|(?P<word>[A-Za-z_$\u0080-\uffff][\w$\u0080-\uffff]*)"
    r"|(?P<number>\d[\w.]*)"
    r"|(?P<mark>\\?[\s\S])"  # outside of literals too, so that no quote is looked at twice
)
_REGEX: Final = re.compile(r"/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*+\]|[^/\\\[\n])++/[a-z]*")
_MOST_WASTED: Final = 20_000_000  # letters that were no regular expression; 1 s
# Between backquotes: up to the end of the template, or to the next expression in it.
_TEMPLATE: Final = re.compile(r"(?:\\[\s\S]|\$(?!\{)|[^`\\$])*+(?P<end>`|\$\{)?")
_BEFORE_REGEX: Final = frozenset({"return", "typeof", "case", "in", "of", "new", "delete", "void"})
_STATEMENTS: Final = frozenset({"import", "export"})
_LONGEST_IMPORT: Final = 10_000  # tokens
_LONGEST_ATTRIBUTES: Final = 100  # tokens
_NAME: Final = r"[\w$]+"
_CLAUSE: Final = re.compile(
    rf"(?P<default>{_NAME})?\s*,?\s*(?:\*\s*as\s+(?P<all>{_NAME})|\{{(?P<some>[^{{}}]*)\}})?"
)
_ONE: Final = re.compile(rf"(?P<theirs>{_NAME}|'[^']*'|\"[^\"]*\")(?:\s+as\s+(?P<ours>{_NAME}))?")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text; `depth` counts the brackets around it."""

    kind: str
    text: str
    at: int
    depth: int


def tokens(text: str) -> Iterator[Token]:
    """The tokens, without spaces and comments; what is inside of templates comes as tokens too."""
    at, depth, last = 0, 0, ""
    templates: list[int] = []
    wasted = 0
    while at < len(text):
        regex = None
        if text[at] == "/" and wasted < _MOST_WASTED and _may_begin_regex(last):
            regex = _REGEX.match(text, at)
            wasted += _rest_of_line(text, at) if regex is None else 0
        match = regex or _TOKEN.match(text, at)
        if match is None:
            return
        kind, piece = ("regex", match[0]) if regex else (str(match.lastgroup), match[0])
        begin, at = at, match.end()
        if kind == "space":
            continue
        closes = bool(templates) and piece == "}" and templates[-1] == depth
        if piece == "`" or closes:
            if closes:
                depth = templates.pop()
            at, opened = _skip_template(text, at)
            if opened:
                templates.append(depth)
            last = "{" if opened else "`"
            continue
        depth = max(0, depth - (kind == "mark" and piece in ")]}"))
        yield Token(kind, piece, begin, depth + len(templates))
        depth += kind == "mark" and piece in "([{"
        last = piece


def _rest_of_line(text: str, at: int) -> int:
    """The number of letters up to the end of the line."""
    end = text.find("\n", at)
    return (len(text) if end < 0 else end) - at


def _skip_template(text: str, at: int) -> tuple[int, bool]:
    """The end of the literal part of a template, and True if an expression begins there."""
    match = _TEMPLATE.match(text, at)
    if match is None:
        return len(text), False
    return match.end(), match["end"] == "${"


def _may_begin_regex(last: str) -> bool:
    return last in _BEFORE_REGEX or last == "" or last in set("(,=:[!&|?{};+-*%<>~^")


def rewrite(text: str, file: str) -> str:
    """The script with its imports replaced, line for line.

    Raises FileError for one that nobody can read.
    """
    found = list(tokens(text))
    parts: list[str] = []
    copied = 0
    for index, token in enumerate(found):
        if token.kind != "word" or token.depth or token.text not in _STATEMENTS:
            continue
        if index and found[index - 1].text == ".":
            continue
        source = _source(found, index)
        if source is None:
            continue
        end = source.at + len(source.text)
        name = source.text[1:-1]
        last = next(n for n in range(index, len(found)) if found[n].at == source.at)
        words = " ".join(other.text for other in found[index:last])
        lines = "\n" * text.count("\n", token.at, end)
        try:
            replaced = _replaced(words, name)
        except ValueError as error:
            problem, help = error.args
            raise FileError(place_of(text, token.at, file), problem, help=help) from None
        parts += [text[copied : token.at], replaced + lines]
        copied = _after_attributes(found, last, end)
    return "".join([*parts, text[copied:]])


def _source(found: list[Token], index: int) -> Token | None:
    """The module's name of the import or re-export that begins there, None if it is neither."""
    word, after = found[index].text, found[index + 1 : index + 2]
    if word == "import" and after and after[0].kind == "string":
        return after[0]
    if not after or after[0].text in ("(", "."):  # import(…), import.meta
        return None
    if word == "export" and after[0].text not in ("{", "*"):
        return None
    return _after_from(found, index + 1, word)


def _after_from(found: Sequence[Token], begin: int, word: str) -> Token | None:
    """The string after the `from` of a statement, None when the statement ends without one."""
    for n in range(begin, min(begin + _LONGEST_IMPORT, len(found) - 1)):
        here, following = found[n], found[n + 1]
        if here.text in (";", "(", "=") or (here.text in _STATEMENTS and not here.depth):
            return None
        if here.text == "from" and not here.depth and following.kind == "string":
            return following
        if word == "export" and here.text == "}" and following.text != "from":
            return None
    return None


def _after_attributes(found: list[Token], at: int, end: int) -> int:
    """Past `with {type: 'json'}`, which only says how a file would be read."""
    if [token.text for token in found[at + 1 : at + 3]] not in (["with", "{"], ["assert", "{"]):
        return end
    inside = found[at + 3 : at + 3 + _LONGEST_ATTRIBUTES]
    return next((t.at + 1 for t in inside if t.text == "}"), end)


def _replaced(words: str, name: str) -> str:
    """`const …` instead of the statement, of which `words` is all before the module's name.

    Raises ValueError with the problem and the cure.
    """
    quoted = "'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"
    module = f"{MODULE}({quoted})"
    if words.startswith("export"):
        problem = f"what is exported from {name!r} is not followed"
        raise ValueError(problem, "bundle the script into one file first")
    clause = words.removeprefix("import").removesuffix("from").strip()
    if not clause:
        return f"{module};"
    match = _CLAUSE.fullmatch(clause)
    if match is None:
        raise ValueError(f"this import cannot be read: {clause!r}", "")
    wanted = [f"{match['default']} = {module}.default"] if match["default"] else []
    if match["all"]:
        wanted.append(f"{match['all']} = {module}")
    if match["some"] is not None:
        wanted.append(f"{{{_some(match['some'])}}} = {module}")
    return f"const {', '.join(wanted)};"


def _some(names: str) -> str:
    """`a, b as c` of an import, as it stands in a `const {…}`."""
    pairs = [_ONE.fullmatch(name.strip()) for name in names.split(",") if name.strip()]
    return ", ".join(
        f"{match['theirs']}: {match['ours']}" if match["ours"] else match["theirs"]
        for match in pairs
        if match is not None
    )


def place_of(text: str, at: int, file: str) -> Place:
    """The line and column of an offset."""
    return Place(file, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))


def line_of(text: str, *words: str) -> int:
    """The line of the last of `words`, each looked for as a key after the one before; 0: none."""
    begin, line = 0, 0
    known = _places(text)
    for word in words:
        places = known.get(word, ())
        index = bisect_left(places, (begin,))
        if index < len(places):
            begin, line = places[index][0] + 1, places[index][1]
    return line


@lru_cache(maxsize=2)
def _places(text: str) -> dict[str, list[tuple[int, int]]]:
    """The places of each word and string of a script: its number among them, and its line."""
    found: dict[str, list[tuple[int, int]]] = {}
    line, at, number = 1, 0, 0
    for token in tokens(text):
        if token.kind in ("word", "string"):
            line, at = line + text.count("\n", at, token.at), token.at
            found.setdefault(token.text.strip("'\""), []).append((number, line))
            number += 1
    return found
