"""Values of an example request become placeholders: who asks, for which campaign.

The name of a value says what it is (`memberId`, `code`), its form how the system writes it: a
UUID, a number, `u00042`. A value that holds placeholders already stays as it was written.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from gameday.spec.template import PLACEHOLDER, PLACEHOLDERS, format_problem, literal

_USER: Final = re.compile(
    r"(?:user|member|customer|buyer|account|owner|person|client|player|guest|attendee|holder"
    r"|subscriber|participant)(?:id|key|no|number|uuid|name|email)?|uid|email|login"
)
_COUPON: Final = re.compile(
    r"(?:coupon|campaign|event|promotion|promo|voucher|sku|product|item|sale|drop|offer|deal"
    r"|ticket)(?:type|id|code|key|no|name|slug)?|code|slug"
)
_KEY: Final = re.compile(r"(?:x)?(?:idempotency|request|dedup|deduplication)(?:key|id|token)?")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NUMBERED: Final = re.compile(r"(\D{0,40})(\d{1,19})", re.ASCII)
_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # as an experiment names a campaign
_HEADER_PREFIX: Final = re.compile(r"x-(?:auth(?:enticated)?-|forwarded-|request-)?", re.IGNORECASE)
_OF_AN_APP: Final = re.compile(r"client(?:id|key|name)?")  # X-Client-Id says which program asks
_OF_CAMPAIGN: Final = re.compile(r"coupon|campaign|promo|voucher")
_DEEPEST: Final = 12
_SINGULAR: Final = re.compile(r"(?:ies|s)$")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name[:80].lower())


def is_user(name: str) -> bool:
    """True for the name of a value that says who asks."""
    return _USER.fullmatch(_plain(name)) is not None


def is_coupon(name: str) -> bool:
    """True for the name of a value that says for which campaign."""
    return _COUPON.fullmatch(_plain(name)) is not None


def has_placeholders(text: str) -> bool:
    """True if a text was written with placeholders, all of which are known."""
    found = [match for match in PLACEHOLDER.finditer(text) if match[0] not in ("{{", "}}")]
    return bool(found) and all(_is_known(match[1]) for match in found)


def _is_known(token: str | None) -> bool:
    name, colon, format_ = (token or "").partition(":")
    return name in PLACEHOLDERS and not (colon and format_problem(name, format_))


def user_template(value: object) -> str:
    """The template by which users are called as in the example."""
    if isinstance(value, int):
        return "{user}"
    text = str(value)
    if _UUID.fullmatch(text):
        return "{user:uuid}"
    if "@" in text:
        return f"user{{user}}@{literal(text.rpartition('@')[2]) or 'example.com'}"
    numbered = _NUMBERED.fullmatch(text)
    if numbered is None:
        return "user-{user}"
    before, digits = literal(numbered[1]), numbered[2]
    if digits.startswith("0") and len(digits) > 1:
        return f"{before}{{user:0{len(digits)}d}}"
    return f"{before}{{user}}" if before else "{user:s}"


@dataclass(slots=True)
class Templates:
    """Makes templates of examples; `coupon` is the campaign that one of them named.

    `users` are the templates that name a user, as they were made. `numbers`: the campaign may be
    a number too, since the system makes it up and tells it.
    """

    coupon: str | None = None
    users: list[str] = field(default_factory=list)
    numbers: bool = False

    def header(self, name: str, value: object) -> str:
        """The template of a header line: `X-User-Id` says who asks as `userId` in a body does."""
        plain = _HEADER_PREFIX.sub("", name, count=1)
        text = str(value)
        if has_placeholders(text):
            return text
        is_app = _OF_AN_APP.fullmatch(_plain(plain)) is not None and not text.isdecimal()
        if _KEY.fullmatch(_plain(name)):
            return "{key}"
        if self.coupon is not None and text == self.coupon and is_coupon(plain):
            return "{coupon}"
        is_campaign = _OF_CAMPAIGN.match(_plain(plain)) is not None
        if is_app or not (is_user(plain) or is_campaign):  # X-Product may be what asks
            return literal(text)
        return str(self._of(plain, int(text) if _is_number(text) else text, 0))

    def of(self, name: str, value: Any) -> Any:
        """The template of a value that is called `name`; its keys and lists are followed."""
        return self._of(name, value, 0)

    def path(self, path: str) -> str:
        """The template of a path: what follows `/users/` is a user, and so on."""
        before, made = "", []
        for segment in path.split("/"):
            given = unquote(segment)
            if self.coupon is not None and given == self.coupon:
                made.append("{coupon}")
            elif not has_placeholders(given) and _has_digits_or_capitals(given):
                found = str(self._of(before, int(given) if _is_number(given) else given, 0))
                made.append(literal(segment) if found == literal(given) else found)
            else:
                made.append(segment if has_placeholders(given) else literal(segment))
            before = _SINGULAR.sub(lambda end: "y" if end[0] == "ies" else "", given.lower())
        return "/".join(made)

    def _of(self, name: str, value: Any, depth: int) -> Any:
        if depth > _DEEPEST:
            return None
        if isinstance(value, Mapping):
            return {
                literal(str(key)): self._of(str(key), each, depth + 1)
                for key, each in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._of(name, each, depth + 1) for each in value]
        if isinstance(value, str) and has_placeholders(value):
            return value
        return self._scalar(name, value)

    def _scalar(self, name: str, value: Any) -> Any:
        """The template of a text or a whole number; anything else says nothing of who asks."""
        if isinstance(value, bool) or not isinstance(value, str | int):
            return value
        if is_user(name):
            self.users.append(user_template(value))
            return self.users[-1]
        if isinstance(value, int):
            return self._number(name, value)
        if _KEY.fullmatch(_plain(name)):
            return "{key}"
        is_code = is_coupon(name) and _CODE.fullmatch(value) is not None
        if is_code and self.coupon in (None, value):
            self.coupon = value
            return "{coupon}"
        return literal(value)

    def _number(self, name: str, value: int) -> Any:
        """A number as it is, the placeholder where it is the campaign."""
        if not (self.numbers and is_coupon(name) and self.coupon in (None, str(value))):
            return value
        self.coupon = str(value)
        return "{coupon}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20 and not text.startswith("0")


def is_code(segment: str) -> bool:
    """True for a part of a path that may name a campaign, and is no version of an API."""
    looks = _has_digits_or_capitals(segment) and not _is_number(segment)
    return looks and _CODE.fullmatch(segment) is not None and not re.fullmatch(r"v\d+", segment)


def _has_digits_or_capitals(segment: str) -> bool:
    """True for what names one of many rather than a kind: `SALE2025`, `42`, a UUID."""
    return any(each.isdigit() or each.isupper() for each in segment)
