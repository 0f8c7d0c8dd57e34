"""A file as a tree with positions, and the way from it to a model."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gameday.core import files
from gameday.core.errors import FileError, Place
from gameday.core.files import decode, shown_path
from gameday.spec.pages import page_of
from gameday.spec.yaml.messages import explain
from gameday.spec.yaml.tree import LARGEST_BYTES, Node, grow, grow_documents

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Document:
    """A file, or a part of one, that has been read but not yet understood."""

    file: str
    root: Node
    raw: bytes = b""

    def plain(self) -> Any:
        """Everything in it, without positions."""
        return self.root.plain()

    def overlaid(self, key: str) -> "Document":
        """The document with the mapping under `key` laid over the top, whole keys at a time.

        What comes from there keeps its own positions; `key` itself is gone.
        """
        top, over = self.root.content, self.root.child(key)
        if not isinstance(top, dict) or over is None or not isinstance(over[1].content, dict):
            raise self.error((key,), f"{key!r} is not a mapping")
        rest = {name: entry for name, entry in top.items() if name != key}
        return Document(self.file, Node(self.root.place, rest | over[1].content), self.raw)

    def under(self, key: str) -> "Document":
        """The mapping under `key`, with its positions; an empty one where there is none."""
        step = self.root.child(key)
        place, node = (self.root.place, None) if step is None else step
        if node is None or not isinstance(node.content, dict):
            return Document(self.file, Node(place, {}), self.raw)
        return Document(self.file, Node(place, node.content), self.raw)

    def only(self, keys: Collection[str]) -> "Document":
        """The document with those of its top-level keys alone."""
        top = self.root.content
        kept = top if isinstance(top, dict) else {}
        rest = {name: entry for name, entry in kept.items() if name in keys}
        return Document(self.file, Node(self.root.place, rest), self.raw)

    def place(self, *loc: str | int) -> Place:
        """Position of the key or item at `loc`; of one that is missing, its nearest parent."""
        place, node = self.root.place, self.root
        for key in loc:
            step = node.child(key)
            if step is None:
                break
            place, node = step
        return place

    def error(self, loc: tuple[str | int, ...], problem: str, *, help: str = "") -> FileError:
        """A complaint about what stands at `loc`."""
        return FileError(self.place(*loc), problem, help=help, page=page_of(loc))

    def parse(self, model: type[M], context: Mapping[str, str] | None = None) -> M:
        """The model this file holds. Raises FileError, at the first thing that is wrong.

        `context` is for the validators of the model.
        """
        try:
            return model.model_validate(self.plain(), context=context)
        except ValidationError as error:
            raise explain(self.root, model, error) from error


def read_bytes(path: Path) -> bytes:
    """The file, if it is one and not larger than the limit. Raises FileError."""
    try:
        return files.read_bytes(path, LARGEST_BYTES)
    except OSError as error:
        start = Place(shown_path(path), 1, 1)
        raise FileError(start, f"cannot be read: {error.strerror}", help=files.HELP) from error


def load(path: Path) -> Document:
    """Read a YAML file. Raises FileError."""
    raw = read_bytes(path)
    file = shown_path(path)
    return Document(file, grow(decode(raw, file), file), raw)


def load_documents(path: Path) -> list[Node]:
    """Read a YAML file that may hold several documents, and merge keys. Raises FileError."""
    raw = read_bytes(path)
    file = shown_path(path)
    return grow_documents(decode(raw, file), file)


def compose_documents(text: str, file: str, most_values: int) -> list[Node]:
    """Read YAML of another program: several documents, merge keys. Raises FileError."""
    return grow_documents(text, file, most_values)


def compose(text: str, file: str, first_line: int = 1, first_column: int = 1) -> Document:
    """Read YAML that stands inside another file, from that line and column on."""
    return Document(file, grow(text, file, first_line, first_column), text.encode())
