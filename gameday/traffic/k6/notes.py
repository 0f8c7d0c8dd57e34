"""Notes of an import: parts it could not take over or has changed, by line."""

from dataclasses import dataclass, field

from gameday.core.network.credentials import without_credentials


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """One sentence about a line of the script; line 0 is the script as a whole."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text


@dataclass(slots=True)
class Notes:
    """Everything said so far; nothing is said twice."""

    said: set[Note] = field(default_factory=set)

    def add(self, line: int, text: str) -> None:
        self.said.add(Note(line, without_credentials(" ".join(text.split()))))

    @property
    def in_order(self) -> list[Note]:
        return sorted(self.said)
