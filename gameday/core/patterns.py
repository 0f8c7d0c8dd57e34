"""Regular expressions that people write: RE2's, run by RE2 itself, in time linear in the text.

Prometheus uses RE2, anchored at both ends. Python's `re` reads some of it otherwise, and takes
time that doubles with each character for some patterns, so that one rule of a file, or one answer
of a hostile service, could hold up a whole run.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

_MOST_BYTES = 8 << 20  # RE2's own default
_REMEMBERED, _LONGEST = 1000, 200


@dataclass(frozen=True)
class Pattern:
    """One regular expression; what it says of a label's value is remembered."""

    text: str
    captures: bool = False
    _known: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def _compiled(self) -> Any:
        import re2  # only where there is a regular expression: most expressions have none

        options = re2.Options()
        options.dot_nl = True  # as Prometheus 3 has it
        options.log_errors = False
        options.never_capture = not self.captures  # then RE2 takes its fastest way
        options.max_mem = _MOST_BYTES
        return re2.compile(self.text, options)

    @property
    def size(self) -> int:
        """The instructions of its program: steps that a character takes, at most."""
        return int(self._compiled.programsize)

    @property
    def has_group(self) -> bool:
        """True if it captures something."""
        return int(self._compiled.groups) > 0

    def first_group(self, text: str) -> str | None:
        """The first group where it is found in `text`, None where it is not."""
        found = self._compiled.search(plain(text))
        return None if found is None else found.group(1)

    def check(self) -> None:
        """Raise ValueError with what it is that RE2 does not take."""
        import re2

        try:
            _ = self._compiled
        except re2.error as error:
            why = error.args[0].decode(errors="replace") if error.args else "it is none"
            raise ValueError(
                f"the regular expression {self.text!r} is not understood: {why}"
            ) from error

    def groups(self, value: str) -> Any:
        """The groups of a match of all of `value`, None where it does not match."""
        return self._compiled.fullmatch(plain(value))

    def matches(self, value: str) -> bool:
        """True if the pattern matches all of `value`."""
        found = self._known.get(value)
        if found is None:
            found = self._compiled.fullmatch(plain(value)) is not None
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            if len(value) <= _LONGEST:
                self._known[value] = found
        return found

    def is_in(self, text: str) -> bool:
        """True if the pattern is found anywhere in `text`; texts differ, so none is remembered."""
        return self._compiled.search(plain(text)) is not None


def plain(text: str) -> str:
    """Text that UTF-8 can hold: half a surrogate pair is no character."""
    return text.encode("utf-8", "replace").decode()


def compile_pattern(text: str, *, captures: bool = False) -> Pattern:
    """The pattern, checked. Raises ValueError with what it cannot take."""
    pattern = Pattern(plain(text), captures)
    pattern.check()
    return pattern
