"""Rules about secrets and addresses: no secret in a file, every address a whole one."""

import re

from gameday.core.errors import UsageError
from gameday.core.network.credentials import has_credentials
from gameday.core.network.urls import Base
from gameday.core.secrets.redaction import TELLING
from gameday.spec.inputs import FileWarning, Findings
from gameday.spec.read import LoadedSystem
from gameday.spec.system import ADDRESSES
from gameday.spec.yaml import Document

_NO_SECRET = re.compile(r"|\d+|true|false|.*\{[a-z_]+\}.*", re.IGNORECASE | re.DOTALL)


def unchecked_semantics(loaded: LoadedSystem) -> Findings:
    """Promises of the format that no check of this version holds a system to."""
    semantics = loaded.system.semantics
    unchecked = {"duplicate": "first", "replay": "idempotent"}
    for key, value in unchecked.items():
        if getattr(semantics, key) == value:
            text = f"{key!r}: that a system keeps {value!r} is not checked yet"
            yield FileWarning(loaded.document.place("semantics", key), text)


def no_secrets(loaded: LoadedSystem) -> Findings:
    """Passwords in addresses or headers would end up in every run directory and report."""
    document = loaded.document
    for loc, _, node in document.root.walk():
        if not isinstance(node.content, str):
            continue
        key = next((str(part) for part in reversed(loc) if isinstance(part, str)), "")
        if has_credentials(node.content):
            problem = f"{key!r}: an address with credentials in it"
            help = "take the secret from {env: NAME} or {file: PATH}"
            yield document.error(loc, problem, help=help)
        elif len(loc) > 1 and loc[-2] == "headers" and TELLING.search(key):
            problem = f"{key!r}: a secret written out"
            yield document.error(loc, problem, help="write {env: NAME} or {file: PATH}")
        elif _is_written_out(loc, key, node.content):
            problem = f"{key!r}: a secret written out"
            yield document.error(loc, problem, help="write {secret}: one is made up at each start")
        elif loc[0] in ADDRESSES and key in ("url", loc[0]):
            yield from _address(document, loc, node.content)


def _is_written_out(loc: tuple[str | int, ...], key: str, text: str) -> bool:
    """A value of the service's environment that is secret by its name, and no placeholder."""
    return (
        loc[:2] == ("start", "env") and bool(TELLING.search(key)) and not _NO_SECRET.fullmatch(text)
    )


def _address(document: Document, loc: tuple[str | int, ...], text: str) -> Findings:
    key = str(loc[0])
    try:
        Base.parse(text, query=key == "metrics")
    except UsageError as error:
        yield document.error(loc, f"{key!r}: {error.message}", help=error.help)
