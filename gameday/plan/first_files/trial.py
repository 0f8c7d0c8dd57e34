"""One request, sent once, for a user of its own: what comes back is what the files are made of.

Whoever answers may be broken or hostile: the answer has a largest size and a time, and nothing of
it is safe or written but through `safe` and the YAML library.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

from gameday.core import files
from gameday.core import json as strict_json
from gameday.core.errors import GamedayError, UsageError
from gameday.core.network.allow_list import Allowed
from gameday.core.network.http import Answer, HttpError
from gameday.core.network.urls import Base
from gameday.core.secrets.redaction import Hidden
from gameday.injection.drivers.request import Sender
from gameday.plan.campaign_code import code_in
from gameday.plan.first_files.answer import Learnt, learn, learn_again
from gameday.plan.first_files.audit_shape import can_be_written, shape_of
from gameday.plan.first_files.sketch import (
    FIRST,
    STOCK,
    USERS,
    OutcomeSketch,
    Sketch,
    safe,
    texts_of,
)
from gameday.spec.request import Request
from gameday.spec.template import Values, fill_text

ANSWER_BYTES: Final = 256 * files.KIB
AUDIT_BYTES: Final = 8 * files.MIB
_WIDTH: Final = re.compile(r"\{user:0([1-9][0-9]?)d\}")
_WHO_ASKS: Final = (401, 403)
_SHOWN: Final = 200  # characters of an answer
_ANY: Final = ["1xx", "2xx", "3xx", "4xx", "5xx"]
_RATHER: Final = " Or --no-request: it sends nothing, and writes the files all the same"


async def try_once(
    sketch: Sketch,
    allowed: Allowed,
    environment: Mapping[str, str],
    *,
    must_answer: bool,
    twice: bool = False,
) -> Sketch:
    """The sketch with what one answer taught. Raises UsageError.

    `must_answer`: the address was named, so that silence is an error and no note. `twice`: the
    same user asks once more, to see what a second one is answered. `environment` has the secrets.
    """
    base = Base.parse(sketch.base_url)
    await allowed.resolve(base.host, base.port or 80, "init")
    values = _values(sketch)
    sender = Sender(sketch.base_url, values, environment)
    await _with_campaign(sketch, sender)
    try:
        answer = await sender.send(_request(sketch, str(values["uuid"])), None, ANSWER_BYTES)
    except GamedayError as error:
        if must_answer or not isinstance(error.__cause__, HttpError):
            raise UsageError(
                f"the one request: {safe(error.message)}", help=f"is it running?{_RATHER}"
            ) from error
        note = f"nothing answers at {sketch.base_url} yet: the outcomes are guesses"
        return replace(sketch, notes=(*sketch.notes, note))
    sent = frozenset(_filled(text, values) for text in texts_of(sketch.request))
    answer = _without_secrets(answer, sketch, environment)
    learnt = learn(answer, audited=sketch.audit is not None, sent=sent)
    if learnt.problem and not must_answer:
        note = f"{sketch.request.line}: {learnt.problem}; {learnt.cure}"
        return replace(sketch, notes=(*sketch.notes, note))
    if learnt.problem:
        who = _who_asked(sketch, values)
        problem = f"{sketch.request.line}{who}: {learnt.problem}"
        raise UsageError(problem, help=f"{_ended(learnt.cure)}{_RATHER}")
    found = _learnt(sketch, learnt)
    if twice:
        found = await _again(found, learnt, values, environment)
    return await _with_audit(found, sender, learnt, values, environment)


async def _again(
    sketch: Sketch, learnt: Learnt, values: Values, environment: Mapping[str, str]
) -> Sketch:
    """The sketch with what the same user is answered who asks again, as a new attempt."""
    key = f"{values['key']}-again"
    other = Sender(sketch.base_url, {**values, "key": key, "attempt": f"{key}-1"}, environment)
    try:
        answer = await other.send(_request(sketch, str(values["uuid"])), None, ANSWER_BYTES)
    except GamedayError as error:
        raise UsageError(f"--twice: {safe(error.message)}", help=_RATHER[4:]) from error
    sent = frozenset(_filled(text, values) for text in texts_of(sketch.request))
    again = learn_again(learnt, _without_secrets(answer, sketch, environment), sent)
    outcomes = list(sketch.outcomes)
    if again.outcome is not None:
        outcomes = [each for each in outcomes if each.name != "duplicate"]
        outcomes.insert(1, again.outcome)
    notes = [*sketch.notes, *([again.note] if again.note else [])]
    first = outcomes[0]
    if again.status not in (0, first.match["status"]):
        match = {**first.match, "status": [first.match["status"], again.status]}
        outcomes[0] = replace(first, match=match)
    return replace(sketch, outcomes=outcomes, semantics=again.semantics, notes=notes)


def _without_secrets(answer: Answer, sketch: Sketch, environment: Mapping[str, str]) -> Answer:
    """The answer as it may be safe: a server may repeat the token that it was sent."""
    names = sketch.request.secret_headers.values()
    values = [environment[name] for name in names if name in environment]
    if not values:
        return answer
    return replace(answer, body=Hidden(values)(answer.text).encode())


async def _with_campaign(sketch: Sketch, sender: Sender) -> None:
    """A campaign of its own, where there is a request for one. Raises UsageError."""
    if sketch.campaign is None:
        return
    try:
        asked = sketch.campaign.get("create", sketch.campaign)
        answer = await sender.send(Request.model_validate(asked), None, ANSWER_BYTES)
        path = sketch.campaign.get("capture", {}).get("coupon")
        code = None if path is None else code_in(answer, path)
    except GamedayError as error:
        problem = f"--campaign: {safe(error.message)}"
        raise UsageError(problem, help=f"is it the right request?{_RATHER}") from error
    if code is not None:
        sender.learn("coupon", code)
    elif path is not None:
        said = safe(sender.hide(answer.text)[:_SHOWN])  # hidden before it is cut
        raise UsageError(
            f"--campaign: nothing at `coupon: {safe(path)}` of its answer: {said}",
            help=f"`capture` is a dotted path to the id in that answer.{_RATHER}",
        )


def _ended(cure: str) -> str:
    return cure if cure.endswith(("?", ".")) else f"{cure}."


def _who_asked(sketch: Sketch, values: Values) -> str:
    """The user who asked, in a few words; "" where the request names none."""
    texts = [text for text in texts_of(sketch.request) if "{user" in text]
    by_uuid = any("{user:uuid}" in text for text in texts)
    return f", asked as user {values['uuid' if by_uuid else 'user']}" if texts else ""


def _values(sketch: Sketch) -> dict[str, int | str]:
    """Values of the placeholders: a user whom the first experiment does not have."""
    widths = [int(width) for text in texts_of(sketch.request) for width in _WIDTH.findall(text)]
    most = 10 ** min([*widths, 7])
    user = USERS + secrets.randbelow(most - USERS) if most > 2 * USERS else secrets.randbelow(most)
    mark = secrets.token_hex(4)
    coupon = sketch.coupon or "none"
    if sketch.campaign is not None:
        coupon = f"{coupon[:45]}-init-{mark}"
    return {
        "user": user,
        "uuid": str(uuid4()),
        "iteration": 0,
        "coupon": coupon,
        "key": f"init-{mark}",
        "attempt": f"init-{mark}-1",
        "run": f"init-{mark}",
        "stock": STOCK,
    }


def _with_uuid(value: Any, uuid: str) -> Any:
    """`{user:uuid}` filled in: a run makes it from its seed."""
    if isinstance(value, str):
        return value.replace("{user:uuid}", uuid)
    if isinstance(value, Mapping):
        return {key: _with_uuid(each, uuid) for key, each in value.items()}
    return [_with_uuid(each, uuid) for each in value] if isinstance(value, list) else value


def _filled(text: str, values: Values) -> str:
    try:
        return fill_text(text.replace("{user:uuid}", str(values["uuid"])), values)
    except UsageError:
        return text


def _request(sketch: Sketch, uuid: str) -> Request:
    """The request as it is sent; whatever it answers is an answer."""
    asked = sketch.request
    headers: Any = dict(asked.headers)
    headers |= {name: {"env": variable} for name, variable in asked.secret_headers.items()}
    body = {} if asked.body is None else {asked.body.form: asked.body.value}
    given = {asked.method: asked.path, "headers": headers, "query": dict(asked.query), **body}
    return Request.model_validate({**_with_uuid(given, uuid), "expect": {"status": _ANY}})


def _learnt(sketch: Sketch, learnt: Learnt) -> Sketch:
    """The outcomes of the answer first, then those of the document that are others."""
    taken = [each.match["status"] for each in learnt.outcomes if len(each.match) == 1]
    good = {"issued", "accepted"}
    others: list[OutcomeSketch] = [
        each
        for each in sketch.outcomes
        if each.name not in good and each.match.get("status") not in taken
    ]
    return replace(
        sketch,
        outcomes=[*learnt.outcomes, *others],
        capture=dict(learnt.capture),
        seen=learnt.seen,
        notes=(*sketch.notes, *learnt.notes),
    )


async def _with_audit(
    sketch: Sketch,
    sender: Sender,
    learnt: Learnt,
    values: Values,
    environment: Mapping[str, str],
) -> Sketch:
    """The sketch with its audit; the id by which that knows of it is the one to capture."""
    audit = sketch.audit
    if audit is None:
        if learnt.ids:
            paths = ", ".join(map(safe, list(learnt.ids)[:3]))
            note = f"with an audit, capture the id that it has too: issue_id may be {paths}"
            return replace(sketch, notes=(*sketch.notes, note))
        return sketch
    answer = await _audit_answer(sketch, sender, {})
    secret = sketch.request.secret_headers
    if answer.status in _WHO_ASKS and secret:
        answer = await _audit_answer(sketch, sender, secret)
        sketch = replace(sketch, audit_secrets=secret)
    if not 200 <= answer.status < 300:
        said = safe(_without_secrets(answer, sketch, environment).text[:200])
        cure = f"is the path right?{_RATHER}"
        raise UsageError(f"--audit: {sketch.audit} answers {answer.status}: {said}", help=cure)
    try:
        told = answer.json()
    except strict_json.JsonError as error:
        raise UsageError(f"--audit: {sketch.audit}: {error.message}", help=_FORM) from error
    named = _named(sketch, values)
    if not _is_own_form(told):
        return _shaped(sketch, told, named, learnt)
    rows = _rows(told, audit)
    own = [row for row in rows if str(row["userId"]).lower() in named]
    ids = {str(row.get("issueId")) for row in own or rows}
    known = {**learnt.ids, **learnt.values} if own else learnt.values  # a 7 is of anybody
    path = next((path for path, value in known.items() if value in ids), None)
    capture = {"issue_id": path, **sketch.capture} if path is not None else sketch.capture
    found = replace(sketch, capture=capture, notes=[*sketch.notes, *_who(rows, named)])
    return _used(found, len(rows))


def _used(sketch: Sketch, rows: int) -> Sketch:
    """The sketch, and a note where the one request used the campaign that a run would get.

    Then the files say nothing of the audit but in a comment: a run with it would be refused. What
    was accepted becomes a row later.
    """
    is_later = sketch.outcomes[0].name == "accepted"
    if sketch.campaign is not None or not (rows or is_later):
        return sketch
    has = f"has {rows} row{'s' if rows > 1 else ''} now" if rows else "will have a row soon"
    another = f"a `coupon` that nobody used in {FIRST}.yaml, " if sketch.names_coupon else ""
    note = (
        f"init's own request used the campaign: it {has}, and a run that is judged by the audit"
        f" wants a fresh one. So `audit` is a comment in system.yaml: take its # away with"
        f" {another}`campaign` (or init --campaign), or `before_run`; until then nothing about"
        " issuance is judged"
    )
    outcomes = [
        replace(each, name="accepted") if each.name == "issued" else each
        for each in sketch.outcomes
    ]
    return replace(sketch, used=True, outcomes=outcomes, notes=[*sketch.notes, note])


async def _audit_answer(sketch: Sketch, sender: Sender, secret: Mapping[str, str]) -> Answer:
    """The answer of the audit, whatever its status. Raises UsageError."""
    headers = {name: {"env": variable} for name, variable in secret.items()}
    asked = {"get": sketch.audit, "headers": headers, "expect": {"status": _ANY}}
    try:
        return await sender.send(Request.model_validate(asked), None, AUDIT_BYTES)
    except GamedayError as error:
        raise UsageError(f"--audit: {safe(error.message)}", help="is the path right?") from error


_FORM: Final = (
    'it must be {"stock": 600, "rows": [{"userId": 7, "issueId": "a1"}]} (docs/own-system.md)'
)


def _is_own_form(told: Any) -> bool:
    return isinstance(told, dict) and isinstance(told.get("rows"), list) and "stock" in told


def _shaped(sketch: Sketch, told: Any, named: frozenset[str], learnt: Learnt) -> Sketch:
    """The sketch with the audit's own shape, as far as the one request proves it.

    Raises UsageError where it proves nothing, or a system file cannot say it.
    """
    known = {**learnt.ids, **learnt.values}
    shape = shape_of(told, named, frozenset(learnt.ids.values()))
    if shape is not None and not shape.id:  # by its name no value is an id, so any may be
        shape = shape_of(told, named, frozenset(known.values()))
    keys = ", ".join(map(safe, list(told)[:8])) if isinstance(told, dict) else "a list"
    if shape is None or sketch.audit is None or not can_be_written(sketch.audit, shape):
        who = "" if shape is not None else f", and has nobody of {safe(', '.join(sorted(named)))}"
        raise UsageError(f"--audit: {sketch.audit} has another form: {keys}{who}", help=_FORM)
    path = next((at for at, value in known.items() if shape.id and value == shape.answered), "")
    capture = {"issue_id": path, **sketch.capture} if path else sketch.capture
    notes = list(sketch.notes)
    if sketch.stock is None and sketch.campaign is None:
        notes.append(
            "how many there are in all is not guessed: --stock N, or `stock` in"
            " `campaign` of first.yaml"
        )
    return _used(replace(sketch, audit_keys=shape.as_keys(), capture=capture, notes=notes), 1)


def _rows(told: Any, path: str) -> list[Any]:
    """The rows of an audit of gameday's own form. Raises UsageError for others."""
    found: list[Any] = [row for row in told["rows"] if isinstance(row, dict) and "userId" in row]
    if len(found) < len(told["rows"]):
        raise UsageError(f"--audit: {path}: its rows have no userId", help=_FORM)
    return found


def _named(sketch: Sketch, values: Values) -> frozenset[str]:
    """Names that the audit may have for who just got one, in small letters."""
    texts = [text for text in texts_of(sketch.request) if "{user" in text]
    return frozenset({_filled(text, values).lower() for text in texts} | {str(values["user"])})


def _who(rows: list[Any], named: frozenset[str]) -> tuple[str, ...]:
    """A note where the audit has nobody who was just given one: its ids may be others."""
    if any(str(row["userId"]).lower() in named for row in rows):
        return ()
    others = ", ".join(safe(row["userId"]) for row in rows[:3]) or "nobody"
    asked = safe(", ".join(sorted(named)))
    told = f"the audit has no row of {asked}, who just got one; it names {others}"
    return (f"{told}: is it later, or another id?",)
