"""A JSON Schema as sections: one a mapping, with a row for each of its keys.

A key's example is a value of a shipped file, so it is one that the loaders take; where no shipped
file has the key, the schema's own `examples`. A mapping that stands in several places has one
section, and every key that holds it links there.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import yaml
from pydantic import TypeAdapter

from gameday.cli.key_markdown import code, paragraphs, prose, table
from gameday.core.units import format_duration

Schema = Any

HEADS: Final = ("key", "type", "default", "meaning")
SHORT: Final = 120  # characters of an example: more is to be looked up in a file
BEYOND: Final = 2**53  # a bound that nobody meets in writing
_TIMEDELTA: Final = TypeAdapter(timedelta)
_DURATION: Final = r"(\d+(\.\d+)?(ms|s|m|h))+"


@dataclass(slots=True)
class Reference:
    """The sections of one schema. `own` names mappings that have a page of their own: a link."""

    root: Schema
    own: Mapping[str, str] = field(default_factory=dict)
    examples: Any = field(default_factory=dict)  # values by mapping and key
    places: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._name_places()

    def learn(self, node: Any) -> None:
        """Take the values of a file that fits the schema as examples of its keys."""
        self._learn(self.root, "", node)

    def sections(self, title: str = "") -> Iterator[str]:
        """The lines of all sections, the root's first."""
        waiting = [("", self.root, title)]
        done: set[str] = set()
        while waiting:
            name, schema, place = waiting.pop(0)
            if name in done:
                continue
            done.add(name)
            yield from self._section(name, schema, place)
            waiting += self._inside(name, schema, place)

    def every_key(self) -> Iterator[tuple[str, str, Schema]]:
        """Each key that has a row: the mapping's place, the key, its schema."""
        for name, place in self.places.items():
            for key, schema in self._named(name).get("properties", {}).items():
                yield place, key, schema

    def at(self, steps: Sequence[str]) -> list[tuple[str, Schema]]:
        """The mapping that holds the key at a path, and the key's schema; all of them, of a union.

        A step may be a name that a file gives: that of a scenario, or of an outcome.
        """
        names, held = [""], False
        found: list[tuple[str, str, Schema]] = []
        for step in steps:
            here = [(name, self._named(name).get("properties", {})) for name in names]
            next_ = [(name, step, keys[step]) for name, keys in here if step in keys]
            if not next_ and not held:
                return []
            if not next_:
                held = False
                continue
            found = next_
            names = [ref for _, _, schema in found for ref in self._refs(schema)]
            held = any(_holds(schema) == ".NAME" for _, _, schema in found)
        return [(name, schema) for name, _, schema in found]

    def inner_keys(self, schema: Schema) -> Iterator[str]:
        """The keys of the mappings that a value may be, or may hold."""
        for ref in self._refs(schema):
            yield from self._named(ref).get("properties", {})

    def default(self, schema: Schema) -> str:
        """The default of a key that is not required."""
        return self._default(schema, required=False)

    def meaning(self, name: str, key: str, schema: Schema) -> str:
        """The key's description; that of what it holds where it has none."""
        if text := schema.get("description"):
            return str(text)
        if "const" in schema:
            return "This word: it says which kind this is"
        held = [self._named(ref).get("description", "") for ref in self._refs(schema)]
        return next((text.split("\n\n")[0] for text in held if text), "")

    def example(self, name: str, key: str, schema: Schema) -> str:
        """A value of the key as YAML on one line; "" where there is none."""
        given = [self.examples.get((name, key)), *schema.get("examples", [])]
        for value in given:
            if value is not None and (text := flow(value)):
                return text
        return ""

    def _section(self, name: str, schema: Schema, place: str) -> Iterator[str]:
        if place:
            yield f"## {code(place)}\n" if name else f"# {place}\n"
        if text := schema.get("description"):
            yield paragraphs(str(text)) + "\n"
        required = set(schema.get("required", ()))
        rows = []
        for key, each in schema.get("properties", {}).items():
            text = prose(self.meaning(name, key, each))
            example = self.example(name, key, each)
            if example and not says_its_values(each):
                text = f"{text}{'.' if text[-1:].isalnum() or text[-1:] in '`)' else ''}"
                text = f"{text} Example: {code(example)}".strip()
            rows.append((code(key), self.type_of(each), self._default(each, key in required), text))
        yield from table(HEADS, rows)

    def _default(self, schema: Schema, required: bool) -> str:  # noqa: FBT001
        if required:
            return "**required**"
        default = schema.get("default")
        if default is None or default in ({}, []):
            return "–"
        if isinstance(default, Mapping):
            return "see there"
        if isinstance(default, str):
            return code(_duration(default) or default or '""')
        return code(flow(default))

    def type_of(self, schema: Schema) -> str:
        """The type of a value in words, with links to the mappings that it may be."""
        if ref := schema.get("$ref"):
            return self._link(ref.rpartition("/")[2])
        if forms := [*schema.get("oneOf", ()), *schema.get("anyOf", ())]:
            kinds = [each for each in forms if each.get("type") != "null"]
            return _either(list(dict.fromkeys(self.type_of(each) for each in kinds)))
        if words := schema.get("enum", [schema["const"]] if "const" in schema else []):
            return _either([code(str(each)) for each in words])
        return self._holder(schema) or _plain(schema)

    def _holder(self, schema: Schema) -> str:
        """The type of a list or a mapping by names; "" of anything else."""
        kind, held = schema.get("type"), _value_schema(schema)
        if kind == "array":
            return f"list of {self.type_of(schema.get('items', {}))}"
        if kind == "object" and isinstance(held, Mapping) and held:
            return f"mapping of names to {self.type_of(held)}"
        return "mapping" if kind == "object" else ""

    def _link(self, name: str) -> str:
        if name in self.own:
            return self.own[name]
        named = self._named(name)
        if "properties" not in named:
            return self.type_of(named)
        place = self.places.get(name, name)
        return f"[{code(place)}](#{slug(place)})"

    def _named(self, name: str) -> Schema:
        found: Schema = self.root if not name else self.root["$defs"][name]
        return found

    def _refs(self, schema: Any) -> Iterator[str]:
        """The names of the mappings that a key may hold, straight or in a list or a mapping."""
        if isinstance(schema, Mapping):
            if ref := schema.get("$ref"):
                yield ref.rpartition("/")[2]
            for key in ("items", "anyOf", "oneOf"):
                yield from self._refs(schema.get(key))
            yield from self._refs(_value_schema(schema))
        elif isinstance(schema, Sequence) and not isinstance(schema, str):
            for each in schema:
                yield from self._refs(each)

    def _inside(self, name: str, schema: Schema, place: str) -> list[tuple[str, Schema, str]]:
        found = []
        for each in schema.get("properties", {}).values():
            for ref in self._refs(each):
                if ref not in self.own and "properties" in self._named(ref):
                    found.append((ref, self._named(ref), self.places[ref]))
        return found

    def _name_places(self) -> None:
        """Call each mapping by where it stands first: `expect.alerts[]`."""
        self.places[""] = ""
        waiting = [("", "")]
        while waiting:
            name, place = waiting.pop(0)
            for key, schema in self._named(name).get("properties", {}).items():
                refs = [ref for ref in self._refs(schema) if ref not in self.own]
                for ref in refs:
                    if ref in self.places or "properties" not in self._named(ref):
                        continue
                    inner = f"{place}.{key}" if place else key
                    inner += _holds(schema)
                    kind = _variant(self._named(ref)) if len(refs) > 1 else ""
                    taken = inner in self.places.values()
                    words = kind or (_words(ref) if len(refs) > 1 and taken else "")
                    self.places[ref] = f"{inner} ({words})" if words else inner
                    waiting.append((ref, self.places[ref].partition(" (")[0]))

    def _learn(self, schema: Schema, name: str, node: Any) -> None:
        """Note the values of one mapping, and of what it holds."""
        if not isinstance(node, Mapping):
            return
        for key, value in node.items():
            known = schema.get("properties", {}).get(key)
            if known is None:
                continue
            if (name, key) not in self.examples and flow(value):
                self.examples[name, key] = value
            self._descend(known, value)

    def _descend(self, schema: Schema, value: Any) -> None:
        """Go into a value: to the mapping that it is, or that its parts are."""
        if ref := schema.get("$ref"):
            name = ref.rpartition("/")[2]
            named = self._named(name)
            if "properties" not in named:
                self._descend(named, value)
            elif isinstance(value, Mapping) and _fits(named, value):
                self._learn(named, name, value)
        for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            self._descend(each, value)
        inside: tuple[Any, Iterable[Any]] = (None, ())
        if isinstance(value, list):
            inside = (schema.get("items"), value)
        elif isinstance(value, Mapping):
            inside = (_value_schema(schema), value.values())
        for each in inside[1] if isinstance(inside[0], Mapping) else ():
            self._descend(inside[0], each)


def _value_schema(schema: Schema) -> Any:
    """The schema of the values of a mapping by names; None where it is none."""
    by_pattern = schema.get("patternProperties")
    return next(iter(by_pattern.values())) if by_pattern else schema.get("additionalProperties")


def slug(title: str) -> str:
    """The anchor of a heading, as code hosts and MyST make it."""
    kept = re.sub(r"[^\w\- ]", "", title.lower())
    return kept.replace(" ", "-")


def flow(value: Any) -> str:
    """A value as YAML on one line; "" where it is too long to be an example."""
    if isinstance(value, str) and "\n" in value:
        return ""
    text: str = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10_000
    )
    text = text.removesuffix("\n").removesuffix("\n...").strip()
    return text if len(text) <= SHORT else ""


def _fits(schema: Schema, value: Any) -> bool:
    properties = schema.get("properties", {})
    for key, each in value.items():
        if key not in properties:
            return False
        if "const" in properties[key] and properties[key]["const"] != each:
            return False
    return set(schema.get("required", ())) <= set(value)


def _variant(schema: Schema) -> str:
    """The word by which a mapping of a union is told from the others: its executor."""
    found = [each["const"] for each in schema.get("properties", {}).values() if "const" in each]
    return str(found[0]) if found else ""


def _either(words: Sequence[str]) -> str:
    return " or ".join(words) if len(words) <= 3 else f"one of {', '.join(words)}"


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _holds(schema: Schema) -> str:
    """The mark of how a key holds its mapping: `[]` in a list, `.NAME` by names."""
    kinds = [schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())]
    if any(each.get("type") == "array" for each in kinds):
        return "[]"
    return ".NAME" if any(isinstance(_value_schema(each), Mapping) for each in kinds) else ""


def says_its_values(schema: Schema) -> bool:
    """True if the type says every value that there is, as `true` and `false`."""
    forms = [each for key in ("anyOf", "oneOf") for each in schema.get(key, ())]
    if forms:
        return all(says_its_values(each) or each.get("type") == "null" for each in forms)
    return "enum" in schema or "const" in schema or schema.get("type") == "boolean"


def _duration(text: str) -> str:
    """A duration as files write it, from the form of the schema: PT0S → 0s."""
    try:
        given = _TIMEDELTA.validate_strings(text) if text.startswith("PT") else None
    except ValueError:
        return ""
    return "" if given is None else format_duration(given)


def _plain(schema: Schema) -> str:
    """The type of a number or a text, with its bounds."""
    kind = schema.get("type", "any value")
    if kind == "string":
        pattern = str(schema.get("pattern", ""))
        return "duration" if _DURATION in pattern else "text"
    if kind == "boolean":
        return "`true` or `false`"
    name = {"integer": "whole number", "number": "number"}.get(str(kind), str(kind))
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    bounds = []
    high = None if high is not None and high >= BEYOND else high
    below = None if below is not None and below >= BEYOND else below
    if low is not None or above is not None:
        bounds.append(f"≥ {_number(low)}" if low is not None else f"\\> {_number(above)}")
    if high is not None or below is not None:
        bounds.append(f"≤ {_number(high)}" if high is not None else f"\\< {_number(below)}")
    return f"{name} {', '.join(bounds)}".strip()


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
