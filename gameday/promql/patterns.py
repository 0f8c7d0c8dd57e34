r"""Regular expressions of label matchers: RE2's, run by Python, where both mean the same.

Prometheus uses RE2, anchored at both ends. Python's `re` reads most of it alike, but not all:
`a++` is possessive here and an error there, `[[:alpha:]]` is a class there and a set of
letters here. What the two read differently is refused, never guessed.
"""

import re

# An escaped class or an escaped punctuation mark; any other escape is refused.
_ESCAPE = re.compile(r"\\(?:[dDwWsSnrtfv]|[^\w\s])", re.ASCII)
_FOREIGN = (
    (re.compile(r"\\"), "this escape"),
    (re.compile(r"\(\?(?!:)"), "a group other than (...) and (?:...)"),
    (re.compile(r"\[\[|&&|--|~~|\|\|[^\]]*\]"), "this class"),
    (re.compile(r"[*+?}][+*]|[*+?}]\{|\}\?\?|\?\?\?"), "a repetition of a repetition"),
    (re.compile(r"\{,"), "a repetition without a lower limit"),
    (re.compile(r"[{,]\d{4,}"), "a repetition of more than 999"),
)


def compile_pattern(text: str) -> re.Pattern[str]:
    """The pattern for `fullmatch`. Raises ValueError with what it cannot take."""
    plain = _ESCAPE.sub("e", text)
    for foreign, what in _FOREIGN:
        if foreign.search(plain):
            raise ValueError(f"the regular expression {text!r} uses {what}")
    try:
        return re.compile(text, re.ASCII | re.DOTALL)
    except re.error as error:
        raise ValueError(f"the regular expression {text!r} is not understood: {error}") from error
