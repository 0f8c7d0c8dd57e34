"""What a system may answer, given to every reader of answers."""

import random
from collections.abc import Mapping

from gameday.core import json
from tests.fuzz.running import Case


def cases() -> Mapping[str, Case]:
    """Every reader of answers, by its name."""
    return {"json": Case(_bytes, json.parse)}


def _bytes(draw: random.Random) -> bytes:
    return draw.randbytes(draw.randrange(100))
