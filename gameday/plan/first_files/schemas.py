"""Examples of values that the schemas of an OpenAPI document describe.

The document may be anybody's: all examples of a request together have a largest number of values,
a reference within itself is not followed again, and none leads out of the document.
"""

from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from gameday.core.errors import UsageError
from gameday.plan.first_files.examples import is_coupon, is_user

MOST_KEYS: Final = 40
_MOST_VALUES: Final = 2_000  # of a request: nobody sends more by hand
_MOST_LOOKED_AT: Final = 200  # keys of an object
_DEEPEST: Final = 8
_LONGEST_REFERENCE: Final = 500
_COMBINED: Final = ("allOf", "oneOf", "anyOf")
_FORMATS: Final = {
    "uuid": "00000000-0000-4000-8000-000000000001",
    "email": "user1@example.com",
    "date-time": "2026-01-01T00:00:00Z",
}


def mapping(value: object) -> Any:
    """The value, or an empty mapping in place of anything else; keys are text as it was read."""
    return value if isinstance(value, dict) else {}


def listed(value: object) -> list[Any]:
    """The value, or an empty list in place of anything else."""
    return value if isinstance(value, list) else []


def resolved(root: Any, value: object) -> object:
    """The value that a reference in the document stands for; None if it leads nowhere."""
    for _ in range(_DEEPEST):
        reference = mapping(value).get("$ref")
        if not isinstance(reference, str):
            return value
        if not reference.startswith("#/") or len(reference) > _LONGEST_REFERENCE:
            return None
        value = root
        for step in reference[2:].split("/"):
            value = mapping(value).get(step.replace("~1", "/").replace("~0", "~"))
    return None


@dataclass(slots=True)
class Schemas:
    """Makes the examples of one request. `left` is how many values it may still have."""

    root: Any
    left: int = _MOST_VALUES
    _open: set[int] = field(default_factory=set)

    def example(self, name: str, schema: object) -> Any:
        """A value that fits a schema. Raises UsageError where there is no end of it."""
        return self._example(name, schema, 0)

    def counted(self, value: Any, depth: int = 0) -> Any:
        """A value as it is, once it is sure to be a small one. Raises UsageError."""
        self._count()
        if depth > MOST_KEYS:
            raise _too_much()
        if isinstance(value, dict | list):
            for each in value.values() if isinstance(value, dict) else value:
                self.counted(each, depth + 1)
        return value

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise _too_much()

    def _example(self, name: str, schema: object, depth: int) -> Any:
        """Its own example, else one of its type; None for one that is within itself."""
        given = mapping(resolved(self.root, schema))
        self._count()
        if depth > _DEEPEST or id(given) in self._open:
            return None
        self._open.add(id(given))
        try:
            return self._of(name, given, depth)
        finally:
            self._open.discard(id(given))

    def _of(self, name: str, given: Any, depth: int) -> Any:
        if any(listed(given.get(key)) for key in _COMBINED):
            return self._combined(name, given, depth)
        named = [given.get(key) for key in ("example", "default", "const")]
        named += [each for key in ("examples", "enum") for each in listed(given.get(key))[:1]]
        for each in named:
            if each is not None:
                return self.counted(each)
        if given.get("type") == "object" or "properties" in given:
            return self._object(given, depth)
        return _plain_value(name, given)

    def _combined(self, name: str, schema: Any, depth: int) -> Any:
        """A value of all parts together, or of the first of several forms."""
        for key in ("oneOf", "anyOf"):
            if parts := listed(schema.get(key)):
                return self._example(name, parts[0], depth + 1)
        parts = listed(schema.get("allOf"))[:MOST_KEYS]
        whole = [self._example(name, each, depth + 1) for each in parts]
        merged = {k: v for each in whole if isinstance(each, dict) for k, v in each.items()}
        return merged or whole[0]

    def _object(self, schema: Any, depth: int) -> Any:
        """The keys that are required, or that say who asks and for what."""
        required = set(map(str, islice(listed(schema.get("required")), _MOST_LOOKED_AT)))
        properties = dict(islice(mapping(schema.get("properties")).items(), _MOST_LOOKED_AT))
        named = {n for n in properties if n in required or is_user(n) or is_coupon(n)}
        wanted = [n for n in properties if n in named or not named][:MOST_KEYS]
        return {
            name: self._example(name, properties[name], depth + 1)
            for name in wanted
            if name in required or not self._is_open(properties[name])
        }

    def _is_open(self, schema: object) -> bool:
        return id(resolved(self.root, schema)) in self._open


def _too_much() -> UsageError:
    return UsageError(
        f"--openapi: its example of the request has more than {_MOST_VALUES} values",
        help="give one of yours: --json '{…}'",
    )


def _plain_value(name: str, schema: Any) -> Any:
    """A value of a plain type, written so that its template is of the right form."""
    least = schema.get("minimum")
    number = least if isinstance(least, int) and least > 1 else 1
    by_type = {"array": [], "integer": number, "number": number, "boolean": True}
    if (kind := str(schema.get("type"))) in by_type:
        return by_type[kind]
    if (format_ := str(schema.get("format"))) in _FORMATS:
        return _FORMATS[format_]
    if is_user(name):
        return _FORMATS["email"] if "mail" in name.lower() else "1"
    return "CODE" if is_coupon(name) else "text"
