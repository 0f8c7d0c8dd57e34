"""The stack that `gameday up` left running, as its file says: `stack.json` in the state folder.

The file is written before each part starts, so that `gameday down` finds whatever an `up` that
was killed half-way has left. It holds the passwords of the stores and the token of Toxiproxy, and
only its owner may read it.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import PlainSerializer, PlainValidator, ValidationError

from gameday import __version__
from gameday.core import files
from gameday.core.errors import StackError, UsageError
from gameday.core.files.private import state_dir
from gameday.core.locks import try_lock
from gameday.core.stack_registry import EMBEDDED
from gameday.injection import engine
from gameday.injection.upstream import Published
from gameday.spec.start import Start
from gameday.spec.undos import ProcessUndo, ProjectUndo, StrangeUndo, Undo, from_json
from gameday.spec.yaml import Model
from gameday.stacks.stack import Addresses

_SHOWN = frozenset({"schema", "state", "stack", "started_at"})
U = TypeVar("U", bound=Undo)


def _undo(record: object) -> Undo:
    """One undo of the file. Raises ValueError for what is no undo of ours."""
    if isinstance(record, Undo):
        return record
    found = from_json(record if isinstance(record, dict) else {})
    if isinstance(found, StrangeUndo):
        raise ValueError(found.why)  # noqa: TRY004 - pydantic wants it
    return found


class Kept(Model):
    """Content of the file. `undo` lists the components and folders, in the order they were made.

    `toxiproxy_token` lets a client change its Toxiproxy; that server reads it from `token_file`.
    """

    schema_: Literal[1] = 1
    state: Literal["starting", "running"] = "starting"
    started_at: str
    stack: str = EMBEDDED
    name: str
    system_file: str
    start: Start | None = None
    undo: tuple[Annotated[Undo, PlainValidator(_undo), PlainSerializer(Undo.as_json)], ...] = ()
    addresses: Addresses | None = None
    base_url: str = ""
    environment: Mapping[str, str] = {}
    direct: Mapping[str, str] = {}
    proxied: Mapping[str, str] = {}
    logs: Mapping[str, Path] = {}
    secrets: tuple[str, ...] = ()
    binaries: Mapping[str, str] = {}
    may_end: tuple[str, ...] = ()
    toxiproxy_token: str | None = None
    token_file: Path | None = None
    published: Mapping[str, Published] = {}
    replicas: Annotated[
        Undo | None,
        PlainValidator(lambda value: None if value is None else _undo(value)),
        PlainSerializer(lambda undo: None if undo is None else undo.as_json()),
    ] = None

    def undos(self, kind: type[U]) -> list[U]:
        """The records of one kind."""
        return [each for each in self.undo if isinstance(each, kind)]

    def parts(self, *, run: bool) -> list[str]:
        """The names of the parts that run, or that do not. Raises EngineError."""
        from gameday.injection.process.process import alive

        found = [undo.name for undo in self.undos(ProcessUndo) if bool(alive(undo)) is run]
        for project in self.undos(ProjectUndo):
            there = engine.containers_of(project)
            if run:
                found += sorted({each.service for each in there if each.runs})
            else:
                found += engine.ended(there, self.binaries.keys(), self.may_end)
        return found


def stack_file() -> Path:
    """Path of the file that describes the kept stack."""
    return state_dir() / "stack.json"


def read_kept() -> Kept | None:
    """The kept stack, None when there is none. Raises StackError for a file that makes no sense."""
    path = stack_file()
    try:
        return Kept.model_validate_json(files.read_bytes(path, files.SETTING_BYTES))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StackError(
            f"{path}: {error.strerror}", help="remove it, and end what is left of the stack by hand"
        ) from error
    except ValidationError as error:
        raise StackError(
            f"{path}: {_first_problem(error)}",
            help="if a newer gameday has put the stack up, end it with that one: gameday down; "
            f"else end what is left of it by hand, then remove {path}",
        ) from None  # the library's text quotes passwords


def _first_problem(error: ValidationError) -> str:
    """The first thing that this gameday does not write, with its value unless it may be secret."""
    first = error.errors(include_url=False, include_context=False)[0]
    what = ".".join(map(str, first["loc"])).replace("schema_", "schema")
    value = f" is {first['input']!r:.40}" if what in _SHOWN else ""
    match first["type"]:
        case "json_invalid":
            return f"it is not whole: {first['msg']}"
        case "extra_forbidden":
            return f"{what!r} is not known to this gameday ({__version__})"
        case "missing":
            return f"{what!r} is missing"
        case _:
            return (
                f"{what!r}{value}, which this gameday ({__version__}) does not know: {first['msg']}"
            )


def write_kept(kept: Kept) -> None:
    """Replace the file in one step."""
    text = json.dumps(kept.model_dump(mode="json", by_alias=True), indent=1)
    files.replace(stack_file(), [text.encode() + b"\n"])


def forget_kept() -> None:
    """Remove the file; there is no kept stack any more."""
    stack_file().unlink(missing_ok=True)


@contextmanager
def only_one() -> Iterator[None]:
    """Raises UsageError while another `up` or `down` is at work."""
    handle = os.open(state_dir() / "stack.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not try_lock(handle):
            raise UsageError("another `gameday up` or `gameday down` is at work")
        yield
    finally:
        os.close(handle)
