"""Secrets that somebody's compose file hands to containers, of whose logs a run keeps a copy.

What `compose config` prints has all variables filled in, wherever they came from: the shell,
`.env`, an `env_file`, or the file itself. What is secret there is told as everywhere else, by its
name or as an address with credentials in it. A truth value, a small number and a name of the file
are none: every text would lose that word.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from gameday.core import files
from gameday.core.secrets.redaction import telling

_PLAIN: Final = re.compile(r"|\d{1,7}|true|false|yes|no|on|off|none|null", re.IGNORECASE)


def secrets_in(config: object, variables: Mapping[str, str]) -> frozenset[str]:
    """The texts that must not be shown of what `compose config` has printed, parsed.

    `variables` are those that it was filled in with: of them what stands in it, wherever that is.
    """
    used = "\n".join(_texts(config))
    found = {value for value in telling(variables) if value in used}
    for service in _each(_get(config, "services")):
        for given in (_get(service, "environment"), _get(_get(service, "build"), "args")):
            found.update(_telling(_pairs(given, variables)))
    for each in (*_each(_get(config, "volumes")), *_each(_get(config, "networks"))):
        options = _pairs(_get(each, "driver_opts"), {})
        found.update(telling(options))
        for text in options.values():  # of a file server: username=a,password=b
            found.update(telling(_pairs(text.split(","), {})))
    found.update(_in_files(config, variables))
    names = "\n".join(_names(config))
    return frozenset(e for e in found if not _PLAIN.fullmatch(e.strip()) and e not in names)


def _telling(pairs: Mapping[str, str]) -> list[str]:
    """The values that tell, but for the path of a file that has the secret in it."""
    return telling({n: text for n, text in pairs.items() if not n.upper().endswith("_FILE")})


def _pairs(given: object, variables: Mapping[str, str]) -> dict[str, str]:
    """Of `{NAME: value}` or of `[NAME=value]`; one without a value has the shell's."""
    pairs: list[tuple[object, object]] = []
    if isinstance(given, dict):
        pairs = list(given.items())
    elif isinstance(given, list):
        split = (str(each).partition("=") for each in given)
        pairs = [(name, value if equals else None) for name, equals, value in split]
    return {
        str(name).strip(): variables.get(str(name), "") if value is None else _as_meant(str(value))
        for name, value in pairs
    }


def _in_files(config: object, variables: Mapping[str, str]) -> Iterator[str]:
    """What the `secrets` of the file hold, in files or variables."""
    for each in _each(_get(config, "secrets")):
        yield variables.get(str(_get(each, "environment")), "")
        if path := _get(each, "file"):
            try:
                raw = files.read_bytes(Path(str(path)), files.SECRET_BYTES)
            except OSError:
                continue  # compose says so, where a container is to have it
            yield raw.decode(errors="replace").strip()


def _names(config: object) -> Iterator[str]:
    """Names that everybody may read: services, images, networks, volumes."""
    for key in ("services", "networks", "volumes"):
        named = _get(config, key)
        yield from map(str, named if isinstance(named, dict) else ())
    for service in _each(_get(config, "services")):
        yield from (
            str(_get(service, key) or "") for key in ("image", "container_name", "hostname")
        )


def _texts(value: object) -> Iterator[str]:
    for each in value if isinstance(value, list) else _each(value):
        yield from _texts(each)
    if isinstance(value, str):
        yield _as_meant(value)


def _as_meant(text: str) -> str:
    """The text as a container gets it: compose prints a dollar sign twice."""
    return text.replace("$$", "$")


def _get(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def _each(value: object) -> list[object]:
    return list(value.values()) if isinstance(value, dict) else []
