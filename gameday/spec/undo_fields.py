"""Fields of a record that somebody may have forged: types with the checks of what they hold."""

import re
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from gameday.core.json_objects import checked, json_object

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
MOST_COMMAND_S = 60.0
LARGEST_PID = 2**22  # of Linux; others have fewer
_REFERENCES = ({"env"}, {"file"})


def _string(value: Any) -> Any:
    return checked(isinstance(value, str) and "\0" not in value, value)


def _text(value: Any) -> Any:
    return checked(value != "", _string(value))


def _url(value: Any) -> Any:
    return checked(urlsplit(_text(value)).scheme in ("http", "https"), value)


def _path(value: Any) -> Path:
    path = Path(_text(value))
    return checked(path.is_absolute() and ".." not in path.parts, path)


def _pid(value: Any) -> Any:
    return checked(type(value) is int and 1 < value <= LARGEST_PID, value)


def signal_name(value: Any) -> Any:
    """The name of a signal."""
    return checked(_string(value) in signal.Signals.__members__, value)


def _reference(value: Any) -> Any:
    """One that `references` knows: nothing else may stand beside its name."""
    return checked(
        json_object(value).keys() in _REFERENCES and all(map(_text, value.values())), value
    )


def text_by_text(value: Any) -> Mapping[str, str]:
    """An object of texts, with one at least."""
    found = {_text(key): _text(each) for key, each in json_object(value).items()}
    return checked(found, found)


def _sha256(value: Any) -> Any:
    return checked(_SHA256.fullmatch(_text(value)) is not None, value)


def _command_s(value: Any) -> Any:
    seconds = type(value) in (int, float) and 0 < value <= MOST_COMMAND_S
    return checked(seconds, value)


String = Annotated[str, _string]
Text = Annotated[str, _text]
Url = Annotated[str, _url]
AbsolutePath = Annotated[Path, _path]
Pid = Annotated[int, _pid]
Sha256 = Annotated[str, _sha256]
CommandSeconds = Annotated[float, _command_s]
Reference = Annotated[Mapping[str, str], _reference]


def references(value: object) -> Iterator[str]:
    """Every `{env: NAME}` and `{file: PATH}` in a record, as people write it."""
    yield from (f"{{{key}: {name}}}" for key, name in secret_names(value))


def secret_names(value: object) -> Iterator[tuple[str, str]]:
    """Every `env` and `file` in a record, each with the name of the variable or the file."""
    if isinstance(value, Mapping):
        if value.keys() in _REFERENCES and all(isinstance(each, str) for each in value.values()):
            yield from value.items()
        for each in value.values():
            yield from secret_names(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from secret_names(each)
