"""Words by which systems say that all are gone, or that somebody has one already."""

import re
from typing import Final

SOLD_OUT: Final = re.compile(
    r"sold.?out|out.of.stock|exhaust|deplet|insufficient|no.more|none.left|not.enough|\bgone\b"
    r"|unavailable|소진|매진|품절",
    re.IGNORECASE,
)
DUPLICATE: Final = re.compile(
    r"already|duplicat|twice|once.per|exists|한 ?번|이미|중복", re.IGNORECASE
)
