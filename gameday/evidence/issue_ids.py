"""Issue ids as they are compared: one id in two spellings is one.

A system may write an id otherwise in its store than in its answer: a UUID in the other case or
without its hyphens, a number with zeros before it. Whatever else differs is another id.
"""

import re
from typing import Final

_UUID: Final = re.compile(rb"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def plain_id(id_: bytes) -> bytes:
    """An id without what makes no difference; of a history, where long ones are a digest."""
    if _UUID.fullmatch(id_):
        return id_.replace(b"-", b"").lower()
    return (id_.lstrip(b"0") or b"0") if id_.isdigit() else id_
