"""One answer of a system, and what it lets one propose: outcomes, and values worth keeping.

It is somebody else's, so it decides little: an outcome is proposed as narrowly as the answer
allows (a status and a telling value), since what then does not match is unknown and never a wrong
verdict. A page, a redirect or a refusal is told, not learnt from.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gameday.core import json as strict_json
from gameday.core.network.http import Answer
from gameday.plan.first_files.examples import is_user
from gameday.plan.first_files.sketch import Outcome, shown
from gameday.plan.first_files.words import DUPLICATE, SOLD_OUT

_IDS: Final = (
    *("issueid", "issuanceid", "couponid", "voucherid", "ticketid", "orderid", "claimid"),
    *("reservationid", "purchaseid", "bookingid", "redemptionid", "id", "uuid", "voucher"),
    *("ticket", "serial", "couponcode", "vouchercode", "code", "reference", "number", "key"),
)
_LEFT: Final = ("remaining", "left", "remain", "remainingstock", "stockleft")
_TELLING: Final = ("success", "ok", "result", "outcome", "status", "state", "code")
_GOOD: Final = re.compile(
    r"^(?:ok|success(?:ful|fully)?|issued|created|done|accepted|completed?|confirmed|granted"
    r"|claimed|approved|reserved|sold|won|pending|queued|processing)$",
    re.IGNORECASE,
)
_BAD: Final = re.compile(
    r"fail|error|denied|reject|sold.?out|exhaust|duplicate|already|invalid|forbidden|not.?found"
    r"|none|gone",
    re.IGNORECASE,
)
_DEEPEST: Final = 3
_MOST_VALUES: Final = 500
_LONGEST_STEP: Final = 60
_CAPTURED: Final = 200  # characters of an id: longer ones are digests of themselves in a record
_EXCERPT: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """What one answer taught. `problem` says why it taught nothing, `cure` what to do then.

    `ids` are the values that may be the id of what was given out, by their paths, the likeliest
    first. Only an audit can tell which of them is: a wrong one would accuse an honest system.
    """

    seen: str
    outcomes: tuple[Outcome, ...] = ()
    capture: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    problem: str = ""
    cure: str = ""


_CURES: Final[Mapping[int, str]] = {
    301: "name the address that it sends to",
    400: "it did not like the body: --json '{…}', with the keys that it wants",
    401: "it wants to know who asks: --header 'Authorization: …'",
    403: "it wants to know who asks: --header 'Authorization: …'",
    404: "is the path right, and is the campaign there?",
    405: "the method is another: --method put",
    415: "the body has another form: --form 'a=1&b=2', or --json '{…}'",
    422: "it did not like the body: --json '{…}', with the keys that it wants",
    502: "a gateway answers, and what it asks does not: is the service itself running?",
    504: "a gateway answers, and what it asks does not: is the service itself running?",
}


def learn(answer: Answer, *, audited: bool, sent: frozenset[str] = frozenset()) -> Learnt:
    """What an answer to the issue request teaches; `sent` are values of the request itself."""
    body = _parsed(answer)
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    said = shown(answer.text[:_EXCERPT].strip()) if answer.body else "an empty body"
    seen = f"{answer.status} {said}"
    if not 200 <= answer.status < 300:
        cure = _CURES.get(answer.status, _CURES[301] if answer.status < 400 else "look at its log")
        if answer.status in (409, 410, 429):
            cure = "is something left of the campaign, and does its user have none yet?"
        return Learnt(seen=seen, problem=f"it answers {answer.status}: {said}", cure=cure)
    if "html" in kind or answer.text.lstrip()[:9].lower().startswith(("<!doctype", "<html")):
        cure = "is it the address of the API, or of the page in front of it?"
        return Learnt(
            seen=f"{answer.status}, a page (HTML)", problem="it answers a page", cure=cure
        )
    telling = _telling(body)
    if telling is not None and _is_bad(telling[1]):
        told = f"{telling[0]}: {shown(telling[1])}"
        cure = "it says so with a good status: tell the outcomes apart by hand"
        return Learnt(seen=seen, problem=f"it answers {answer.status}, but {told}", cure=cure)
    match: dict[str, Any] = {"status": answer.status}
    if telling is not None and _is_good(telling[1]):
        match["json"] = {telling[0]: telling[1]}
    is_later = answer.status == 202
    name = "issued" if audited and not is_later else "accepted"
    notes = []
    if is_later:
        notes.append("202: it is decided later, so the audit settles who got one")
    outcome = Outcome(name=name, match=match, why=f"seen: {seen}")
    return Learnt(
        seen=seen,
        outcomes=(outcome,),
        capture=_left(body),
        ids=_ids(body, sent),
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What the same user was answered who asked a second time."""

    outcome: Outcome | None = None
    semantics: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


def learn_again(first: Learnt, answer: Answer, sent: frozenset[str]) -> Again:
    """What a second answer teaches. Only words decide that it means "has one already"."""
    second = learn(answer, audited=True, sent=sent)
    if not second.problem:
        shared = [path for path in first.ids if path in second.ids]
        if any(first.ids[path] != second.ids[path] for path in shared):
            return Again(semantics={"per_user": "many"})
        if shared:
            return Again(semantics={"replay": "idempotent"})
        return Again(note=f"asked again, the same user was answered {second.seen}: one more?")
    body = _parsed(answer)
    code = _code(body)
    text = answer.text[:1000]
    if not 400 <= answer.status < 500 and code is None:
        return Again(note=f"asked again, the same user was answered {second.seen}")
    if SOLD_OUT.search(text) or not DUPLICATE.search(text):
        return Again(note=f"asked again, the same user was answered {second.seen}: what is that?")
    match: dict[str, Any] = {"status": answer.status}
    if code is not None and DUPLICATE.search(code[1]):
        match["json"] = {code[0]: code[1]}
    elif body is None:
        found = DUPLICATE.search(text)
        match["text"] = {"contains": found[0] if found else ""}
    return Again(outcome=Outcome(name="duplicate", match=match, why=f"seen: {second.seen}"))


_CODES: Final = ("code", "errorcode", "reason", "type", "error", "result", "status", "outcome")
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{1,59}")


def _code(body: Any) -> tuple[str, str] | None:
    """The word by which a refusal tells itself from others, at its dotted path."""
    found = {}
    for path, value in _walk(body):
        if isinstance(value, str) and _name(path) in _CODES and _CODE.fullmatch(value):
            found.setdefault(_name(path), (".".join(path), value))
    return next((found[name] for name in _CODES if name in found), None)


def _parsed(answer: Answer) -> Any:
    """The JSON of an answer, None for anything else."""
    try:
        return answer.json(10 * _MOST_VALUES)
    except strict_json.JsonError:
        return None


def _walk(value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The plain values of an answer with their paths, the nearest first; bounded."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), value)]
    count = 0
    while waiting and count < _MOST_VALUES:
        path, each = waiting.pop(0)
        count += 1
        if isinstance(each, dict):
            if len(path) < _DEEPEST:
                inner = list(each.items())[:_MOST_VALUES]
                waiting += [((*path, key), v) for key, v in inner if _is_step(key)]
        elif not isinstance(each, list):
            yield path, each


def _is_step(key: str) -> bool:
    """True for a key that a dotted path can name, and that people can read."""
    return 0 < len(key) <= _LONGEST_STEP and "." not in key and key.isprintable()


def _name(path: tuple[str, ...]) -> str:
    return re.sub(r"[^a-z0-9]", "", path[-1].lower()) if path else ""


def _telling(body: Any) -> tuple[str, Any] | None:
    """The value by which an answer tells how it went, at its dotted path."""
    found: dict[str, tuple[str, Any]] = {}
    for path, value in _walk(body):
        if len(path) > 1 or _name(path) not in _TELLING:
            continue
        if isinstance(value, bool) or _is_word(value):
            found.setdefault(_name(path), (".".join(path), value))
    return next((found[name] for name in _TELLING if name in found), None)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and (_GOOD.match(value) or _BAD.search(value[:60])) is not None


def _is_good(value: Any) -> bool:
    return value is True or (isinstance(value, str) and _GOOD.match(value) is not None)


def _is_bad(value: Any) -> bool:
    return value is False or (isinstance(value, str) and not _is_good(value))


def _left(body: Any) -> dict[str, str]:
    """The path of how many are left."""
    for path, value in _walk(body):
        if _name(path) in _LEFT and isinstance(value, int) and not isinstance(value, bool):
            return {"remaining": ".".join(path)}
    return {}


def _ids(body: Any, sent: frozenset[str]) -> dict[str, str]:
    """The values that may be the id of what was given out, by path."""
    found: list[tuple[int, int, str, str]] = []
    for path, value in _walk(body):
        name, text = _name(path), str(value)
        is_text = isinstance(value, str) and value != ""
        is_number = isinstance(value, int) and not isinstance(value, bool) and name != "code"
        if not (is_text or is_number) or len(text) > _CAPTURED or text in sent:
            continue
        if name in _IDS and not any(is_user(step) for step in path):
            found.append((_IDS.index(name), len(path), ".".join(path), text))
    return {path: text for _, _, path, text in sorted(found)}
