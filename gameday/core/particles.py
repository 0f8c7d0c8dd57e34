"""Korean particles: which of two forms follows a word, by how the word ends when it is read aloud.

이/가, 을/를, 은/는, 과/와 go by whether the last syllable has a final consonant; 으로/로 counts a
final ㄹ as none. That is exact for Hangul and for digits (1 is 일, 10 is 십, 10,000 is 만). Latin
words are read as Korean engineers read them, which no rule tells: our own terms stand in a table.
Any other word gets both forms, `이(가)`, as newspapers write it.
"""

import html
import re
import unicodedata
from typing import Final, Literal

Ending = Literal["vowel", "ㄹ", "consonant", "unknown"]

FORMS: Final = {
    "이": ("이", "가", "이(가)"),
    "을": ("을", "를", "을(를)"),
    "은": ("은", "는", "은(는)"),
    "과": ("과", "와", "과(와)"),
    "으로": ("으로", "로", "(으)로"),
    "이나": ("이나", "나", "(이)나"),
    "이라": ("이라", "라", "(이)라"),
    "이란": ("이란", "란", "(이)란"),
    "이며": ("이며", "며", "(이)며"),
    "이었": ("이었", "였", "이었(였)"),
}
"""By the form after a consonant: that, the form after a vowel, and what is written in doubt."""

_SPEC: Final = re.compile(f"(.*?)({'|'.join(sorted(FORMS, key=len, reverse=True))})?", re.DOTALL)
_TAG: Final = re.compile(r"<[^<>]*>")
_LAST_BRACKETS: Final = re.compile(r"(?<=[^\s(])\s*\([^()]*\)$")
_WORD: Final = re.compile(r"[A-Za-z]+$")
_NUMBER: Final = re.compile(r"\d[\d,]*(?:\.\d+)?$")
_CLOSING: Final = " \t\n`*_~\\\"'”’」』》〉)]}>.,:;!?…"
_DIGITS: Final = "영일이삼사오육칠팔구"
_POWERS: Final = ((16, "경"), (12, "조"), (8, "억"), (4, "만"), (3, "천"), (2, "백"), (1, "십"))
_LONGEST_NUMBER: Final = 20  # digits; beyond 10^20 nobody agrees on how it is read
_SIGNS: Final = {"%": "트", "‰": "밀", "℃": "도", "$": "러", "₩": "원", "+": "스", "°": "도"}
_READ: Final = {
    # What stands in our reports, and how it is said; only the last syllable counts.
    "alert": "트", "alertmanager": "저", "api": "이", "audit": "트", "bot": "봇", "canary": "리",
    "cause": "즈", "chromium": "엄", "clocks": "스", "compose": "즈", "cpu": "유", "cron": "론",
    "db": "비", "docker": "커", "down": "운", "drill": "릴", "embedded": "드", "external": "널",
    "gameday": "이", "get": "겟", "grafana": "나", "haproxy": "시", "http": "피", "https": "스",
    "id": "디", "io": "오", "ip": "피", "journal": "널", "json": "슨", "k6": "육", "kafka": "카",
    "kb": "트", "kubernetes": "스", "lock": "락", "log": "그", "mb": "트", "ms": "초",
    "nginx": "스", "ping": "핑", "pod": "드", "post": "트", "postgres": "스", "postgresql": "엘",
    "prometheus": "스", "proxy": "시", "rate": "트", "redis": "스", "resume": "즘", "rps": "스",
    "run": "런", "s": "초", "scale": "일", "script": "트", "server": "버", "service": "스",
    "shop": "숍", "slack": "랙", "slo": "오", "slow": "우", "sold": "드", "spike": "크",
    "sql": "엘", "stop": "톱", "switch": "치", "tcp": "피", "timeout": "웃", "tls": "스",
    "toml": "엘", "toxic": "식", "toxiproxy": "시", "traffic": "픽", "ttl": "엘", "url": "엘",
    "utc": "시", "vu": "유", "vus": "스", "yaml": "믈",
}  # fmt: skip


def split(spec: str) -> tuple[str, str]:
    """The spec of a value in a template as its format and its particle: `.1f이` → `.1f`, `이`."""
    found = _SPEC.fullmatch(spec)
    assert found is not None  # it matches every text
    return found[1], found[2] or ""


def particle(word: str, form: str) -> str:
    """The form of the particle that follows a word; `form` is the one after a consonant."""
    after_consonant, after_vowel, in_doubt = FORMS[form]
    match ending(word):
        case "vowel":
            return after_vowel
        case "ㄹ":
            return after_vowel if form == "으로" else after_consonant
        case "consonant":
            return after_consonant
        case _:
            return in_doubt


def ending(word: str) -> Ending:
    """The end of a word, read aloud; marks of Markdown and HTML around it are not read."""
    said = _spoken(word)
    if not said:
        return "unknown"
    last = said[-1]
    if found := _NUMBER.search(said):
        last = _of_number(found[0])
    elif found := _WORD.search(said):
        last = _READ.get(found[0].lower(), "?")
    return _of_syllable(_SIGNS.get(last, last))


def _spoken(word: str) -> str:
    """The word without marks, and without brackets behind it: what they hold is not read."""
    # The end alone counts: a megabyte of other programs' output costs nothing here.
    said = unicodedata.normalize("NFC", html.unescape(_TAG.sub("", word[-2000:])))
    said = said.rstrip(" \t\n`*_~\\")
    if (bare := _LAST_BRACKETS.sub("", said)).strip(_CLOSING):
        said = bare
    return said.rstrip(_CLOSING)


def _of_number(number: str) -> str:
    """The last syllable of a number as it is read."""
    whole, _, decimals = number.replace(",", "").partition(".")
    if decimals or len(whole) > _LONGEST_NUMBER:  # read digit by digit
        return _DIGITS[int((decimals or "")[-1])] if decimals else "?"
    zeros = len(whole) - len(whole.rstrip("0"))
    if zeros == len(whole):
        return "영"
    if not zeros:
        return _DIGITS[int(whole[-1])]
    return next(name for power, name in _POWERS if power <= zeros)


def _of_syllable(letter: str) -> Ending:
    code = ord(letter)
    if 0xAC00 <= code <= 0xD7A3:  # 가 to 힣: 28 to a vowel, by their final consonant
        final = (code - 0xAC00) % 28
        return "vowel" if final == 0 else "ㄹ" if final == 8 else "consonant"
    if 0x314F <= code <= 0x3163:  # ㅏ to ㅣ, which are called as they sound
        return "vowel"
    if letter == "ㄹ":  # 리을
        return "ㄹ"
    if 0x3131 <= code <= 0x314E:  # ㄱ to ㅎ: 기역, … 히읗
        return "consonant"
    return "unknown"
