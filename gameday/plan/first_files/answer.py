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
from gameday.core.network.http import OK, Answer
from gameday.plan.first_files.examples import is_user
from gameday.plan.first_files.sketch import OutcomeSketch, safe
from gameday.plan.first_files.words import DUPLICATE, SOLD_OUT

_IDS: Final = (
    *("issueid", "issuanceid", "couponid", "voucherid", "ticketid", "orderid", "claimid"),
    *("reservationid", "purchaseid", "bookingid", "redemptionid", "id", "uuid", "voucher"),
    *("ticket", "serial", "couponcode", "vouchercode", "code", "reference", "number", "key"),
)
_LEFT: Final = ("remaining", "left", "remain", "remainingstock", "stockleft")
_TELLING: Final = (
    *("success", "ok", "result", "outcome", "status", "state", "code"),
    *("resultcode", "errorcode", "errcode", "errno", "retcode", "ret", "rc"),
)
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
_GOOD_NUMBERS: Final = (0, 1, 200, 201)
_SENTENCES: Final = ("message", "msg", "detail", "description")
_LONGEST_SENTENCE: Final = 80
CREATED: Final = 201
ACCEPTED: Final = 202
_SAYS_NO: Final = re.compile(
    r"\b(?:fail(?:ed|ure)?|error|denied|rejected|invalid)\b", re.IGNORECASE
)
_DEEPEST: Final = 3
_MOST_OF_A_LIST: Final = 3
_MOST_VALUES: Final = 500
_LONGEST_STEP: Final = 60
_CAPTURED: Final = 200  # characters of an id: longer ones are digests of themselves in a record
_LONG_ENOUGH: Final = 6
_ITEM: Final = re.compile(r"(?:^|\.)[0-9]+(?:\.|$)")  # of a list: it may be of somebody else
_EXCERPT: Final = 120
_MOST_SHOWN: Final = 12  # keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """The lesson of one answer. `problem` says why it taught nothing, `cure` what to do then.

    `seen` is for the file: the keys of the answer, never what it gave out. `said` is the beginning
    of the answer itself, for the screen of whoever asked.

    `ids` are the values that may be the id of what was given out, by their paths, the likeliest
    first; `values` are all that are long enough to be one. Only an audit can tell which of them
    is: a wrong one would accuse an honest system.
    """

    seen: str
    said: str = ""
    outcomes: tuple[OutcomeSketch, ...] = ()
    capture: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    problem: str = ""
    cure: str = ""


_NOT_AS_WANTED: Final = (
    "does the body have what it wants (--json '{…}'), and does this user exist, and have none yet?"
)
_CURES: Final[Mapping[int, str]] = {
    301: "name the address that it sends to",
    400: _NOT_AS_WANTED,
    401: "it wants to know who asks: --header 'Authorization: …'",
    403: "it wants to know who asks: --header 'Authorization: …'",
    404: "is the path right, and is the campaign there?",
    405: "the method is another: --method put",
    415: "the body has another form: --form 'a=1&b=2', or --json '{…}'",
    422: _NOT_AS_WANTED,
    502: "a gateway answers, and what it asks does not: is the service itself running?",
    504: "a gateway answers, and what it asks does not: is the service itself running?",
}


def learn(answer: Answer, *, audited: bool, sent: frozenset[str] = frozenset()) -> Learnt:
    """The lesson of an answer to the issue request; `sent` are values of the request itself."""
    body = _parsed(answer)
    said = safe(answer.text[:_EXCERPT].strip()) if answer.body else "an empty body"
    seen = f"{answer.status} {_keys(answer, body)}"
    told = f"{answer.status} {said}"
    if (refusal := _refusal(answer, body, said)) is not None:
        return Learnt(seen=seen, said=told, problem=refusal[0], cure=refusal[1])
    match = {"status": answer.status, **_told_apart(answer, body, sent)}
    is_later = answer.status == ACCEPTED
    name = "issued" if audited and not is_later else "accepted"
    return Learnt(
        seen=seen,
        said=told,
        outcomes=(OutcomeSketch(name=name, match=match, why=f"seen: {seen}"),),
        capture=_left(body),
        ids=_ids(body, sent),
        values=_values(body, sent),
        notes=tuple(_notes(answer.status, match)),
    )


def _refusal(answer: Answer, body: Any, said: str) -> tuple[str, str] | None:
    """Why an answer is no issue, and what to do; None for one that may be."""
    if not 200 <= answer.status < 300:
        cure = _CURES.get(answer.status, _CURES[301] if answer.status < 400 else "look at its log")
        if answer.status in (409, 410, 429):
            cure = "is something left of the campaign, and does its user have none yet?"
        return f"it answers {answer.status}: {said}", cure
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if "html" in kind or answer.text.lstrip()[:9].lower().startswith(("<!doctype", "<html")):
        return "it answers a page (HTML)", "is it the address of the API, or of a page before it?"
    telling = _telling(body)
    if telling is not None and _is_bad(telling[1]):
        told = f"{telling[0]}: {safe(telling[1])}"
    elif _says_no(answer.text if body is None else body, telling):
        told = said
    else:
        return None
    cure = "it says so with a good status: tell the outcomes apart by hand"
    return f"it answers {answer.status}, but {told}", cure


def _says_no(body: Any, telling: tuple[str, Any] | None) -> bool:
    """True if a text, or a text in a JSON answer, says that nothing was given.

    Where a word or a truth value tells, that counts; `no error` beside a good number is well.
    """
    is_number = telling is not None and type(telling[1]) is int
    if telling is not None and not is_number:
        return False
    texts = [value[:300] for _, value in _walk(body) if isinstance(value, str)]
    if any(SOLD_OUT.search(text) or DUPLICATE.search(text) for text in texts):
        return True
    is_good = is_number and telling is not None and telling[1] in _GOOD_NUMBERS
    return not is_good and any(_SAYS_NO.search(text) for text in texts)


def _told_apart(answer: Answer, body: Any, sent: frozenset[str]) -> Any:
    """By what, beside its status, an answer is told from those that mean something else."""
    telling = _telling(body)
    if telling is not None and _is_good(telling[1]):
        return {"json": {telling[0]: telling[1]}}
    return {} if answer.status == CREATED else _by_words(body, answer.text.strip(), sent)


def _notes(status: int, match: Any) -> Iterator[str]:
    if status == OK and len(match) == 1:
        yield (
            "200 alone means issued now: if a 200 may say sold out too, tell them apart in"
            " `outcomes`, or a run blames an honest system"
        )
    if status == ACCEPTED:
        yield "202: it is decided later, so the audit settles who got one"


def _by_words(body: Any, text: str, sent: frozenset[str]) -> Any:
    """The sentence of an answer that has nothing shorter to tell itself by; {} without one.

    A sentence with digits or with something that was sent is another one for somebody else.
    """
    if body is None:
        return {"text": {"equals": text}} if _is_sentence(text, sent) else {}
    for path, value in _walk(body):
        is_text = len(path) == 1 and _name(path) in _SENTENCES and isinstance(value, str)
        if is_text and _is_sentence(value, sent):
            return {"json": {path[0]: value}}
    return {}


def _is_sentence(text: str, sent: frozenset[str]) -> bool:
    plain = 0 < len(text) <= _LONGEST_SENTENCE and text.isprintable()
    return plain and not re.search(r"\d", text) and not any(each in text for each in sent if each)


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """The answer to the same user who asked a second time.

    `status` is that of an answer that gave the same one again.
    """

    outcome: OutcomeSketch | None = None
    semantics: Mapping[str, str] = field(default_factory=dict)
    status: int = 0
    note: str = ""


def learn_again(first: Learnt, answer: Answer, sent: frozenset[str]) -> Again:
    """The lesson of a second answer. Only words decide that it means "has one already"."""
    second = learn(answer, audited=True, sent=sent)
    is_other = second.outcomes != () and _differs(first.outcomes[0], second.outcomes[0])
    if not second.problem and not is_other:
        shared = [path for path in first.ids if path in second.ids and not _ITEM.search(path)]
        if any(first.ids[path] != second.ids[path] for path in shared):
            return Again(semantics={"per_user": "many"})
        if shared:
            return Again(semantics={"replay": "idempotent"}, status=answer.status)
        return Again(note=f"asked again, the same user was answered {second.said}: one more?")
    body = _parsed(answer)
    code = _code(body) or _number(body, answer.status)
    text = answer.text[:1000]
    if not 400 <= answer.status < 500 and code is None:
        return Again(note=f"asked again, the same user was answered {second.said}")
    word = DUPLICATE.search(text)
    if SOLD_OUT.search(text) or word is None:
        return Again(note=f"asked again, the same user was answered {second.said}: what is that?")
    match: Any = {"status": answer.status}
    if code is not None and (type(code[1]) is int or DUPLICATE.search(code[1])):
        match["json"] = {code[0]: code[1]}
    else:  # the status alone may also be that of "sold out"
        match["text"] = {"contains": word[0]}
    return Again(outcome=OutcomeSketch(name="duplicate", match=match, why=f"seen: {second.seen}"))


def _keys(answer: Answer, body: Any) -> str:
    """The form of an answer without its values: they may be a code or a token."""
    if not answer.body:
        return "an empty body"
    if isinstance(body, dict):
        return safe(f"{{{', '.join(map(safe, list(body)[:_MOST_SHOWN]))}}}")
    if isinstance(body, list):
        return f"a list of {len(body)}"
    return "a text" if body is None else "a single value"


def _number(body: Any, status: int) -> tuple[str, Any] | None:
    """The number by which an answer tells how it went; its own status again tells nothing."""
    telling = _telling(body)
    if telling is None or type(telling[1]) is not int or telling[1] == status:
        return None
    return telling


def _differs(first: OutcomeSketch, second: OutcomeSketch) -> bool:
    """True for answers that tell themselves apart by more than their status."""
    return any(first.match.get(key) != second.match.get(key) for key in ("json", "text"))


_CODES: Final = ("code", "errorcode", "reason", "type", "error", "result", "status", "outcome")
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{1,59}")


def _code(body: Any) -> tuple[str, Any] | None:
    """The word by which a refusal tells itself from others, at its dotted path."""
    found: dict[str, tuple[str, Any]] = {}
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


def _walk(value: Any, *, lists: bool = False) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The plain values of an answer with their paths, the nearest first; bounded.

    With `lists` also those in its lists, the first few of each.
    """
    waiting: list[tuple[tuple[str, ...], Any]] = [((), value)]
    deepest = _DEEPEST + lists
    count = 0
    while waiting and count < _MOST_VALUES:
        path, each = waiting.pop(0)
        count += 1
        if isinstance(each, dict):
            if len(path) < deepest:
                inner = list(each.items())[:_MOST_VALUES]
                waiting += [((*path, key), v) for key, v in inner if _is_step(key)]
        elif isinstance(each, list):
            if lists and len(path) < deepest:
                waiting += [((*path, str(n)), v) for n, v in enumerate(each[:_MOST_OF_A_LIST])]
        else:
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
        if isinstance(value, bool | int) or _is_word(value):
            found.setdefault(_name(path), (".".join(path), value))
    return next((found[name] for name in _TELLING if name in found), None)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and (_GOOD.match(value) or _BAD.search(value[:60])) is not None


def _is_good(value: Any) -> bool:
    """True for a value that goes into the match; a number does: others tell other outcomes."""
    if isinstance(value, int):
        return value is not False
    return isinstance(value, str) and _GOOD.match(value) is not None


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
    for path, value in _walk(body, lists=True):
        name, text = _name(path), str(value)
        is_text = isinstance(value, str) and value != ""
        is_number = isinstance(value, int) and not isinstance(value, bool) and name != "code"
        if not (is_text or is_number) or len(text) > _CAPTURED or text in sent:
            continue
        if name in _IDS and not any(is_user(step) for step in path):
            found.append((_IDS.index(name), len(path), ".".join(path), text))
    return {path: text for _, _, path, text in sorted(found)}


def _values(body: Any, sent: frozenset[str]) -> dict[str, str]:
    """Every text or number of an answer that is long enough to be no accident in an audit."""
    found = (
        (".".join(path), str(value))
        for path, value in _walk(body, lists=True)
        if type(value) in (str, int)
    )
    return {
        path: text
        for path, text in found
        if path and _LONG_ENOUGH <= len(text) <= _CAPTURED and text not in sent
    }
