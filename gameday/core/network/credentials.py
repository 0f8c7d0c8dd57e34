"""Credentials in an address, as in `http://user:password@host`: found, and left out of messages.

Whoever writes them on a command line or into a script has them in the shell's history and the
process list already; gameday does not carry them on into journals, reports and error messages.
"""

import re

_USER = re.compile(r"(?<=[a-z0-9+.-])://[^/\s@]+@", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,31}:/*", re.IGNORECASE)


def has_credentials(text: str) -> bool:
    """True if a text holds an address with credentials in it."""
    return _USER.search(text) is not None


def without_credentials(text: str) -> str:
    """The text, its addresses without credentials."""
    return _USER.sub("://", text)


def address_shown(text: str) -> str:
    """One address for a message, however it is misspelt: nothing before its last `@` is told."""
    before, at_sign, after = text.rpartition("@")
    if not at_sign:
        return text
    scheme = _SCHEME.match(before)
    return (scheme[0] if scheme and "//" in scheme[0] else "") + after
