"""SQL of a system file, as far as it can be looked at without a database."""

import re
from typing import Final

_READS: Final = re.compile(r"[\s(]*(?:select|with|table|values)\b", re.IGNORECASE)
_QUOTED: Final = re.compile(r"""(['"])[^'"]*\{(?:coupon|stock|run)\}[^'"]*\1""")


def only_reads(query: str) -> bool:
    """True if a query begins as one that reads."""
    return _READS.match(query) is not None


def quotes_placeholder(query: str) -> bool:
    """True if a placeholder has quotes around it: the literal that it becomes has its own."""
    return _QUOTED.search(query) is not None
