"""Rules about secrets and addresses: no secret in a file, every address a whole one."""

import re
from urllib.parse import urlsplit

from gameday.documents import Document
from gameday.loading.findings import Findings
from gameday.loading.read import LoadedSystem

_CREDENTIALS = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s@]+@", re.IGNORECASE)
_TELLING = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
ADDRESSES = ("base_url", "admin_url", "toxiproxy", "prometheus", "alertmanager", "metrics")


def no_secrets(loaded: LoadedSystem) -> Findings:
    """Passwords in addresses or headers would end up in every run directory and report."""
    document = loaded.document
    for loc, _, node in document.root.walk():
        if not isinstance(node.content, str):
            continue
        key = next((str(part) for part in reversed(loc) if isinstance(part, str)), "")
        if _CREDENTIALS.search(node.content):
            problem = f"{key!r}: an address with credentials in it"
            help = "take the secret from {env: NAME} or {file: PATH}"
            yield document.error(loc, problem, help=help)
        elif len(loc) > 1 and loc[-2] == "headers" and key.lower() in _TELLING:
            problem = f"{key!r}: a secret written out"
            yield document.error(loc, problem, help="write {env: NAME} or {file: PATH}")
        elif loc[0] in ADDRESSES:
            yield from _address(document, loc, node.content)


def _address(document: Document, loc: tuple[str | int, ...], text: str) -> Findings:
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port  # urlsplit reads the port only when it is asked for it
    except ValueError:
        whole = False
    if not whole:
        problem = f"{str(loc[0])!r}: {text!r} is not an address"
        help = "write http://HOST:PORT"
        yield document.error(loc, problem, help=help)
