"""Messages for pydantic's errors, so that whoever wrote the file can mend it.

pydantic names a value by its path; the tree knows where that is. Of several complaints the
first in the file is told, a missing key after all others (it is often just misspelt).
"""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from gameday.core.errors import FileError, Place, excerpt, one_of_them
from gameday.spec.model import NAME_PATTERN
from gameday.spec.pages import page_of
from gameday.spec.yaml.tree import Node

Loc = tuple[str | int, ...]

_KINDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "less than", "write {} or more"),
    "greater_than": ("gt", "not more than", "write more than {}"),
    "less_than_equal": ("le", "more than", "write {} or less"),
    "less_than": ("lt", "not less than", "write less than {}"),
}
_LENGTH_CURES = {
    "too_short": "write one at least",
    "string_too_short": "write it out, or leave the key out",
}
_EXAMPLE = 80  # characters of an example in a cure
_LONGEST = 300  # some lines of a terminal; the value may be the whole file


def explain(root: Node, model: type[BaseModel], error: ValidationError) -> FileError:
    """The complaint to begin with, as an error at its place in the file."""
    complaints = [_Complaint(root, model, details) for details in error.errors()]
    return min(complaints, key=lambda each: each.order).as_error()


class _Complaint:
    """One complaint: where it points, the key it is about, and the value found there."""

    def __init__(self, root: Node, model: type[BaseModel], details: ErrorDetails) -> None:
        self.details = details
        self.model = model
        self.loc: Loc = details["loc"]
        self.kind: str = details["type"]
        self.place, self.node, self.key = _follow(root, self.loc)

    @property
    def order(self) -> tuple[bool, int, int]:
        return self.kind == "missing", self.place.line, self.place.column

    def as_error(self) -> FileError:
        problem, cure = self._words()
        return FileError(
            self._pointed_at(), excerpt(problem, _LONGEST), help=cure, page=self._page()
        )

    def _page(self) -> str:
        """The page about the key, or about its file; none has the keys of a single fault."""
        if self.kind == "missing" and self._fault():
            return ""
        return page_of(self.loc, self.model.__name__.lower())

    def _pointed_at(self) -> Place:
        """An unknown fault is shown at `fault:`, not at the mapping that holds it."""
        step = self.node.child(self._discriminator())
        return step[0] if step and self.kind == "union_tag_invalid" else self.place

    def _discriminator(self) -> str:
        return str(self.details.get("ctx", {}).get("discriminator", "")).strip("'")

    def _about(self, problem: str) -> str:
        return f"{self.key!r}: {problem}" if self.key else problem

    def _words(self) -> tuple[str, str]:
        context = self.details.get("ctx", {})
        match self.kind:
            case "extra_forbidden":
                known = keys_at(self.model, self.loc[:-1]) | _kinds_at(self.model, self.loc[:-1])
                return f"unknown key {self.key!r}", one_of_them(self.key, known)
            case "missing":
                key, fault = str(self.loc[-1]), self._fault()
                cure = f"gameday explain {fault}" if fault else _adding(self.model, self.loc, key)
                return f"{key!r} is missing{self._inside()}", cure
            case "union_tag_not_found":
                name = self._discriminator()
                return f"{name!r} is missing", one_of_them("", tags_at(self.model, self.loc, name))
            case "union_tag_invalid":
                what = f"unknown {self._discriminator()} {context['tag']!r}"
                return what, one_of_them(context["tag"], _quoted(context["expected_tags"]))
            case "value_error":
                error = context["error"]
                return self._about(str(error)), getattr(error, "help", "")
            case _:
                return self._wrong_value()

    def _fault(self) -> str:
        """The fault that the error is in, as `network.flap`, "" where it is in none."""
        if len(self.loc) < 4 or self.loc[0] != "method":
            return ""
        tag = self.loc[2]
        return tag if isinstance(tag, str) and "." in tag else ""

    def _inside(self) -> str:
        if fault := self._fault():
            return f" in {fault!r}"
        return f" in {self.key!r}" if self.key else ""

    def _wrong_value(self) -> tuple[str, str]:
        context = self.details.get("ctx", {})
        shown = show(self.node, self.details["input"])
        if self.kind == "secret" and isinstance(self.details["input"], str):
            shown = "it stands here as text"  # and may be the secret itself: it is not said again
        if self.loc and self.loc[-1] == "[key]":
            shown = repr(self.details["input"])
        if self.kind in _KINDS:
            return self._about(f"{shown} is not {_KINDS[self.kind]}"), self._type_cure()
        if self.kind in _BOUNDS:
            key, words, cure = _BOUNDS[self.kind]
            bound = f"{context[key]:.15g}"
            return self._about(f"{shown} is {words} {bound}"), cure.format(bound)
        if self.kind == "literal_error":
            known = _quoted(context["expected"])
            return self._about(f"unknown value {shown}"), one_of_them(shown.strip("'"), known)
        if self.kind == "string_pattern_mismatch":
            return self._about(f"{shown} is not a name"), _pattern_cure(context["pattern"])
        if told := self._of_length():
            return self._about(told), _LENGTH_CURES.get(self.kind, "")
        return self._about(f"{shown}: {self.details['msg']}"), ""

    def _of_length(self) -> str:
        """The message about a wrong number of characters or items, "" for another error."""
        if self.kind in ("too_short", "string_too_short"):
            return "must not be empty"
        if self.kind == "too_long":
            return f"more than {self.details.get('ctx', {})['max_length']}"
        return ""

    def _type_cure(self) -> str:
        given = self.details["input"]
        if self.kind == "string_type" and isinstance(given, int | float):
            return "put it in quotes"
        if self.kind == "list_type" and isinstance(given, str):
            return f"write a list: [{', '.join(map(_quoted_word, _words_of(given)))}]"
        if self.kind == "string_type" and isinstance(given, list | dict):
            return "write one text, in quotes"
        return ""


def _words_of(text: str) -> list[str]:
    """The words of a text, as a shell has them; quotes without an end are no quotes."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _quoted_word(word: str) -> str:
    """A word as an item of a YAML list on one line."""
    return word if re.fullmatch(r"[A-Za-z_./-][A-Za-z0-9_./-]*", word) else json.dumps(word)


def _adding(model: type[BaseModel], loc: Loc, key: str) -> str:
    """The cure for a key that is missing: how it is written, by its example."""
    for each in _models_at(model, loc[:-1]):
        for name, info in each.model_fields.items():
            if _key(name, info) == key and info.examples:
                example = json.dumps(info.examples[0], ensure_ascii=False)
                return f"add it, as {key}: {example}" if len(example) <= _EXAMPLE else ""
    return ""


def _pattern_cure(pattern: str) -> str:
    if pattern == NAME_PATTERN:
        return "small letters, digits and dashes, 64 at most, no dash first"
    return f"it must match {pattern}"


def show(node: Node, given: object) -> str:
    """A value as it stands in the file."""
    content = given if given is None or isinstance(given, str | int | float) else node.content
    if isinstance(content, dict | list):
        return "a mapping" if isinstance(content, dict) else "a list"
    words = {True: "true", False: "false", None: "nothing"}
    if content is None or isinstance(content, bool):
        return words[content]
    return repr(content)


def _follow(root: Node, loc: Loc) -> tuple[Place, Node, str]:
    """Walk a pydantic path through the tree; members of unions, which it also names, are skipped.

    A key that is missing leaves the place of what should hold it.
    """
    place, node, key = root.place, root, ""
    for element in loc:
        step = node.child(element)
        if step is None:
            continue
        place, node = step
        key = element if isinstance(element, str) else key
    return place, node, key


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def keys_at(model: type[BaseModel], loc: Loc) -> set[str]:
    """The keys that may stand in the mapping at `loc` of a file."""
    fields = [each.model_fields.items() for each in _models_at(model, loc)]
    return {_key(name, info) for items in fields for name, info in items}


def tags_at(model: type[BaseModel], loc: Loc, discriminator: str) -> set[str]:
    """The values that `discriminator` may have in the mapping at `loc` of a file."""
    fields = [each.model_fields.get(discriminator) for each in _models_at(model, loc)]
    return {str(tag) for info in fields if info for tag in get_args(info.annotation)}


def _kinds_at(model: type[BaseModel], loc: Loc) -> set[str]:
    """The keys that would make it another kind, of a mapping that has none of them."""
    if not loc or loc[-1] != "request":
        return set()
    *outer, _ = loc
    at: list[Any] = [model]
    for element in outer:
        members = [m for annotation in at for m in _members(annotation)]
        at = [deeper for each in members for deeper in _inside(each, element)] or members
    tags = [
        each.tag
        for annotation in at
        for member in _members(annotation)
        for each in getattr(member, "__metadata__", ())
        if isinstance(each, Tag)
    ]
    return {tag.removeprefix("of-") for tag in tags if tag.startswith("of-")}


def _models_at(model: type[BaseModel], loc: Loc) -> list[type[BaseModel]]:
    at: list[Any] = [model]
    for element in loc:
        at = [m for annotation in at for m in _members(annotation)]
        inner = [deeper for annotation in at for deeper in _inside(annotation, element)]
        at = inner or [each for each in at if _tagged(each, str(element))] or at
    bare = [_bare(each) for annotation in at for each in _members(annotation)]
    return [each for each in bare if _is_model(each)]


def _key(name: str, info: FieldInfo) -> str:
    return info.alias or name


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _members(annotation: Any) -> Iterator[Any]:
    """The members of a union, without what `Annotated` adds; `Tag`s stay to tell them apart."""
    extra = getattr(annotation, "__metadata__", ())
    if extra and not any(isinstance(each, Tag) for each in extra):
        yield from _members(get_args(annotation)[0])
    elif get_origin(annotation) is Union or type(annotation).__name__ == "UnionType":
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if getattr(annotation, "__metadata__", ()) else annotation


def _inside(annotation: Any, element: str | int) -> Iterator[Any]:
    """The annotations of what lies under `element`; none where it names a union's member."""
    bare = _bare(annotation)
    if _is_model(bare):
        for name, info in bare.model_fields.items():
            if element == _key(name, info):
                # The annotation alone has lost a discriminator, which is not needed here.
                yield info.annotation
    elif get_args(bare) and get_origin(bare) is not Literal:
        is_list = isinstance(get_origin(bare), type) and issubclass(list, get_origin(bare))
        if isinstance(element, int) == is_list:
            yield get_args(bare)[-1]


def _tagged(annotation: Any, tag: str) -> bool:
    """True if a union names this member by `tag`."""
    extra = getattr(annotation, "__metadata__", ())
    if any(isinstance(each, Tag) and each.tag == tag for each in extra):
        return True
    bare = _bare(annotation)
    if not _is_model(bare):
        return False
    return any(tag in get_args(info.annotation) for info in bare.model_fields.values())
