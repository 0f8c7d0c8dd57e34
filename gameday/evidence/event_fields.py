"""Annotations of the fields of events: the type, what is relied on in reading, and what is masked.

A journal is a file that anybody may have written. Without a `Needed` field, or with a `Checked` one
of another kind, a record is none; any other field that is absent or of another kind is taken as
empty.

A secret may be a word of the run: a password `redis`, a user `postgres`. Were it masked wherever it
stands, undo records would name proxies that do not exist, and fault ids would change. So a string
is one of two things. A `Word`, as are ids, names, addresses and kinds, is written as it is, always,
because a machine reads it back. A `Text`, as are errors, reasons and notes, is masked, and never
read by anything but people.

A word must not be able to hold a secret in the first place: an undo record has references
(`{env: NAME}`, `{file: PATH}`), and addresses with credentials are refused before a run.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import Field
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args

from gameday.core.json_objects import Json
from gameday.core.messages import Message, is_message
from gameday.core.secrets.redaction import hidden_in, nothing
from gameday.spec.undos import Undo, from_json

YesNo = Literal["yes", "no", "unknown"]

T = TypeVar("T")
Needed = Annotated[T, "needed"]
Checked = Annotated[T, "checked"]
Word = Annotated[str, "word"]
Text = Annotated[str, "text"]
OptionalWord = Annotated[str | None, "word"]
OptionalText = Annotated[str | None, "text"]
Texts = Annotated[Sequence[str], "text"]
OptionalTexts = Annotated[Sequence[str] | None, "text"]
OptionalMessage = Annotated[Message | None, "message"]
"""The sentence of the text that stands beside it; older journals have the text alone."""
Figures = Annotated[Json | None, "figures"]
"""Figures of witnesses, with a reason beside each, which alone is text, and its message."""
Truths = Mapping[str, bool | None]
"""Readings by their keys; None is one without data."""

_REASON, _MESSAGE = "why", "message"
_MOST_NS = 2**63  # an integer of 64 bits, as whoever reckons with it counts on


class Form(NamedTuple):
    """The form of a type in a file; `empty` is taken where there is none."""

    fits: Callable[[Any], bool]
    empty: Any
    read: Callable[[Any], Any] = lambda value: value
    write: Callable[[Any], Any] = lambda value: value


class Described(NamedTuple):
    """A field of an event, and all that its annotation says."""

    name: str
    form: Form
    default: Any
    marks: frozenset[str]


def is_whole(value: Any) -> bool:
    """Tell an integer that a number of 64 bits can hold."""
    return type(value) is int and -_MOST_NS < value < _MOST_NS


def _list_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(fits, value))


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kind)


def _is_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _is_truths(value: Any) -> bool:
    return isinstance(value, dict) and all(type(e) in (bool, type(None)) for e in value.values())


def _is_undo(value: Any) -> bool:
    """One way to take something back; its kind's own driver knows the rest."""
    return isinstance(value, dict) and isinstance(value.get("kind"), str)


_FORMS: Mapping[Any, Form] = {
    str: Form(_is(str), ""),
    int: Form(is_whole, 0),
    bool: Form(_is(bool), empty=False),
    float: Form(lambda value: type(value) in (int, float) and -_MOST_NS < value < _MOST_NS, 0.0),
    YesNo: Form(lambda value: value in get_args(YesNo), "unknown"),
    Json: Form(_is(dict), {}, write=dict),
    Mapping[str, str]: Form(_is_texts, {}, write=dict),
    Truths: Form(_is_truths, {}, write=dict),
    Sequence[str]: Form(_list_of(_is(str)), (), tuple, list),
    Sequence[Json]: Form(_list_of(_is(dict)), (), tuple, list),
    Message: Form(is_message, None, Message.from_json, Message.as_json),
    Undo: Form(_is_undo, None, from_json, lambda undo: undo.as_json()),
    Sequence[Undo]: Form(
        _list_of(_is_undo),
        (),
        lambda value: tuple(map(from_json, value)),
        lambda value: [undo.as_json() for undo in value],
    ),
}


def described(field: "Field[Any]") -> Described:
    """Read the annotation of a field. Raises TypeError where it leaves something open."""
    marks = frozenset(getattr(field.type, "__metadata__", ()))
    annotation: Any = field.type
    annotation = annotation.__origin__ if marks else annotation
    nullable = type(None) in get_args(annotation)
    form = _FORMS[get_args(annotation)[0] if nullable else annotation]
    if form is _FORMS[str] and marks.isdisjoint(("word", "text")):
        raise TypeError(f"{field.name}: say whether it is a Word or a Text")
    return Described(field.name, _or_none(form) if nullable else form, field.default, marks)


def _or_none(form: Form) -> Form:
    return form._replace(
        fits=lambda value: value is None or form.fits(value),
        empty=None,
        read=lambda value: None if value is None else form.read(value),
    )


def masked_value(value: Any, marks: Collection[str], hide: Callable[[str], str]) -> Any:
    """A field as it is written: what is text of it through `hide`."""
    if "figures" in marks:
        return _reasons(value, hide)
    if "message" in marks:
        return _masked_message(value, hide)
    return hidden_in(value, hide if "text" in marks else nothing)


def _reasons(value: Any, hide: Callable[[str], str]) -> Any:
    """The figures as they are, and the reasons beside them through `hide`."""
    if isinstance(value, Mapping):
        masks = {_REASON: hidden_in, _MESSAGE: _masked_message}
        return {key: masks.get(key, _reasons)(each, hide) for key, each in value.items()}
    return [_reasons(each, hide) for each in value] if isinstance(value, list) else value


def _masked_message(value: Any, hide: Callable[[str], str]) -> Any:
    """A message whose values are masked where they are text; ids are words."""
    if isinstance(value, list):
        return [_masked_message(each, hide) for each in value]
    if not is_message(value):
        return hidden_in(value, hide)
    values = {name: _masked_message(each, hide) for name, each in value["values"].items()}
    return {"id": value["id"], "values": values}
