"""Check a certificate of a run: look up each of its facts in the run's own files.

    python check_certificate.py RUN/certificate-no_over_issuance.json

Uses nothing of gameday, only Python. Exit code 0: the facts are there and prove the violation;
1: a fact is not there, or they prove nothing. docs/certificates.md explains each kind.

Users are numbers here, as in the history: an id is read back through the request that made it, so
that another spelling (`U00042` for `u00042`) is the same user and never a proof.
"""

import hashlib
import json
import re
import struct
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

# A history file: from byte 4096 on 100 bytes a request (version 2 of the format). Beside it the
# steps before a request and the poll after it, 64 bytes each; the head of both is JSON.
HEAD = 4096
RECORD = struct.Struct("<IHBBqqqqqiHH3eBB36s")
STEP = struct.Struct("<IHBBBiHqq36s")
ISSUED, DUPLICATE, SOLD_OUT, REFUSED, ACCEPTED, UNKNOWN, DROPPED = range(7)
ABLE = (ISSUED, DUPLICATE, ACCEPTED, UNKNOWN)  # may have got a coupon
NEVER_ASKED = (5, 14, 16)  # reasons of a refusal: no connection, or a step before it failed


@dataclass(frozen=True)
class Start:
    """One request: who asked, the last word on it, when (ns), and how often it was asked."""

    scenario: str
    k: int
    user: int
    answer: int
    sent: int
    ended: int
    id: str
    reason: int
    asked: int

    @property
    def is_open(self):
        return self.answer in (UNKNOWN, ACCEPTED)

    @property
    def reached_nobody(self):
        return self.answer == DROPPED or (self.answer == REFUSED and self.reason in NEVER_ASKED)


class Run:
    """What the files of a run say; `missing` is how many requests left no record."""

    def __init__(self, folder, named):
        self.folder, self.named, self.missing = folder, named, 0
        self.effective = json.loads(self.bytes_of("inputs/effective.json"))
        has_audit = (folder / "audit.json").exists()
        self.audit = json.loads(self.bytes_of("audit.json")) if has_audit else {}
        self.rows = [tuple(row) for row in self.audit.get("rows", [])]
        self.semantics = self.effective["system"].get("semantics", {})
        self.units, per_user = self.semantics.get("units", 1), self.semantics.get("per_user", "one")
        self.most = {"one": 1, "many": float("inf")}.get(per_user, per_user)  # one user may hold
        self.stock = self.effective["stock"]
        self.issues = self.stock // self.units
        self.repeats = self.semantics.get("replay") == "idempotent"
        self.holds = self.semantics.get("holds", "compensated") == "compensated"
        # Who was told "sold out" may have held one only where an action of the system overtook it.
        self.holds_nothing = (
            (DROPPED,) if self.effective["system"].get("actions") else (DROPPED, SOLD_OUT)
        )
        self.users = 0
        starts = [each for path in self.files("*.bin") for each in self._requests(path)]
        by_place = {(each.scenario, each.k): each for each in starts}
        for path in self.files("*.steps"):
            self._lay_over(by_place, path)
        self.starts = list(by_place.values())

    def bytes_of(self, name):
        """A file that the certificate names, as it was then."""
        raw = (self.folder / name).read_bytes()
        if hashlib.sha256(raw).hexdigest() != self.named.get(name):
            raise ValueError(f"{name} is not the file that the certificate was made from")
        return raw

    def files(self, pattern):
        return sorted(f"history/{path.name}" for path in (self.folder / "history").glob(pattern))

    def _requests(self, name):
        raw = self.bytes_of(name)
        if raw[:8] != b"GDHIST02":
            raise ValueError(f"{name} is no history of version 2")
        head, dispatched = json.loads(raw[16:HEAD]), int.from_bytes(raw[8:16], "little")
        self.users = max(self.users, head["users"])
        body = raw[HEAD : len(raw) - (len(raw) - HEAD) % RECORD.size]
        due = len(range(head["worker"], dispatched, head["workers"]))
        self.missing += due - len(body) // RECORD.size
        for record in RECORD.iter_unpack(body):
            k, _, answer, why, user, due, sent, _, ended, *_, asked, _, id_ = record
            at, id_ = (sent or due, ended), plain(id_.rstrip(b"\0").decode())
            yield Start(head["scenario"], k, user, answer, *at, id_, why, max(asked, 1))

    def _lay_over(self, starts, name):
        """A poll has the last word on what was accepted; a step before may have reserved some."""
        raw = self.bytes_of(name)
        if raw[:8] != b"GDSTEP01":
            raise ValueError(f"{name} holds no steps")
        head = json.loads(raw[8:HEAD])
        body = raw[HEAD : len(raw) - (len(raw) - HEAD) % STEP.size]
        decided = set()
        for k, _, step, answer, _, _, _, sent, ended, id_ in reversed([*STEP.iter_unpack(body)]):
            one = starts.get((head["scenario"], k))
            if one is None:
                continue
            if head["steps"][step] != "poll":
                starts[one.scenario, k] = replace(one, sent=min(sent or one.sent, one.sent))
            elif one.answer == ACCEPTED and answer <= REFUSED and k not in decided:
                decided.add(k)
                told = plain(id_.rstrip(b"\0").decode()) or one.id
                starts[one.scenario, k] = replace(one, answer=answer, ended=ended, id=told)

    def is_settled(self, cut="moving"):
        """True if the absence of a row means something."""
        audit = self.audit
        return (
            bool(audit) and not audit["problem"] and (audit["cut"] != "moving" or cut != "moving")
        )


# Who is who: ids are read back through the request that made them.

PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|\{")
PART = re.compile(r"""(?:\{[^{}]*\}|[^\s/?&=;,:|{}"'<>()\[\]]|\{\{|\}\})+""")
FORMAT = re.compile(r"|s|d|uuid|0[1-9][0-9]?d")
WORD = 2**64 - 1


def mixed(word):
    """SplitMix64's output function, from which the UUIDs of a run are made."""
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & WORD
    return word ^ (word >> 31)


@dataclass(frozen=True)
class Form:
    """One form of an id: what stands before the user, how he is written, what stands behind."""

    before: bytes
    kind: str
    behind: bytes
    seed: int

    @property
    def is_number(self):
        """True for a number that stands alone without zeros: any spelling of it is the user."""
        return not self.before and not self.behind and self.kind in ("", "s", "d", "01d")

    def user(self, text):
        """The user whom a text calls so, None for nobody."""
        raw, before, behind = text.encode().lower(), self.before.lower(), self.behind.lower()
        inner = raw[len(before) : len(raw) - len(behind)]
        if not inner or before + inner + behind != raw:
            return None
        if self.kind == "uuid":
            return self._of_uuid(inner.decode(errors="replace"))
        if not inner.isdigit():
            return None
        width = int(self.kind[1:-1]) if self.kind.startswith("0") else 1
        if not (before or behind) and width > 1 and (inner[:1] != b"0" or len(inner) != width):
            return None  # without a zero before it, it may be a key of the system's own
        number = int(inner)
        return number if str(number).zfill(width).encode() == inner else None

    def _of_uuid(self, text):
        if not re.fullmatch(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
            return None
        number = int(text.replace("-", ""), 16)
        upper, lower = number >> 64, number & WORD
        digest = hashlib.blake2b(f"{self.seed}/uuid/user".encode(), digest_size=16).digest()
        above, below = (int.from_bytes(half, "little") for half in (digest[:8], digest[8:]))
        mask = mixed(below ^ upper)
        user = (lower ^ mask) & (2**53 - 1)
        made = mixed(above ^ ((user + 1) * 0x9E3779B97F4A7C15 & WORD)) & (WORD ^ 0xF000) | 0x4000
        checked = 1 << 63 | mask & 0x1FF << 53 | (user ^ mask) & (2**53 - 1)
        return user if (made, checked) == (upper, lower) else None


@dataclass(frozen=True)
class Reading:
    """A way to read ids: by their forms, and where a number alone is a user, before or behind."""

    forms: tuple
    users: int
    number: str = ""  # "first", "last", or never

    def user(self, told):
        """The number of a user; the text itself for one whom no request could have named."""
        whole = isinstance(told, float) and told.is_integer()
        text = str(int(told) if whole else told)
        if len(text) > 200:
            return text
        alone = int(text) if text.isascii() and text.isdigit() and int(text) < 2**53 else None
        formed = (form.user(text) for form in self.forms)
        formed = next((each for each in formed if each is not None and each < self.users), None)
        if self.number == "first" and alone is not None:
            return alone if alone < self.users or formed is None else formed
        if formed is None and self.number == "last" and alone is not None and alone < self.users:
            return alone
        return text if formed is None else formed


def texts(value, *, keys=False):
    """Every text among the values of a body, and its keys where they are asked for."""
    if isinstance(value, dict):
        value = [*value.values(), *(value if keys else ())]
    return [t for e in value for t in texts(e, keys=keys)] if isinstance(value, list) else [value]


def written(text, effective):
    """Text as it was sent; None where something in it varies."""
    known = {name: str(effective[name]) for name in ("coupon", "run", "stock")}
    pieces, at = [], 0
    for match in PLACEHOLDER.finditer(text):
        if match[0] not in ("{{", "}}") and match[1] not in known:
            return None
        pieces += [text[at : match.start()], known[match[1]] if match[1] else match[0][0]]
        at = match.end()
    return "".join([*pieces, text[at:]]).encode()


def forms_of(request, effective):
    """The values of a request that hold the user and nothing else that varies; its body first."""
    sent = [*texts(request.get("json")), *texts(request.get("form"))]
    for text in (request.get("text"), request.get("path")):
        sent += PART.findall(text or "")
    sent += texts(request.get("query", {}))
    for text in texts(request.get("headers", {})):
        sent += PART.findall(text) if isinstance(text, str) else []
    found = []
    for text in (each for each in sent if isinstance(each, str)):
        users = [m for m in PLACEHOLDER.finditer(text) if (m[1] or "").split(":")[0] == "user"]
        if len(users) == 1 and FORMAT.fullmatch(kind := users[0][1].partition(":")[2]):
            around = text[: users[0].start()], text[users[0].end() :]
            before, behind = (written(each, effective) for each in around)
            if before is not None and behind is not None:
                found.append(Form(before, kind, behind, effective["seed"]))
    return list(dict.fromkeys(found))


def readings(run):
    """How the ids of a run may be read: nearly always one way. What is proven must be so in each.

    A number alone may be the user of `u00042`, or a key of the system's own: the issue ids tell,
    if nine in ten of them were told to those whose rows they would be.
    """
    system, listed = run.effective["system"], run.effective.get("users") or {}
    numbers = Reading((), 2**53, "first")
    if listed.get("id") is not None:  # a user is called by his row in the file
        return [numbers]
    every = [system["requests"]["issue"], *system["requests"].get("before", {}).values()]
    request = next((each for each in every if users_in(each)), every[0])
    is_old = not any(name in request for name in ("form", "text"))
    is_old = is_old and not any(":" in each or each == "iteration" for each in asked_in(request))
    if is_old and not listed and len(every) == 1 and "per_user" not in run.semantics:
        return [numbers]  # versions before formats knew no other users
    is_old = is_old and bool(users_in(request)) and run.most == 1 and run.units == 1
    forms = forms_of(request, run.effective)
    if "user:uuid" in users_in(request):
        forms.append(Form(b"", "uuid", b"", run.effective["seed"]))
    whole = tuple(each for each in forms if not each.is_number)
    first, alone, last = (Reading(whole, run.users, way) for way in ("first", "", "last"))
    digits = any((form.before + form.behind).isdigit() for form in whole)
    if len(whole) < len(forms):  # the bare number is in the request
        possible = [first, alone] if digits else [first]
    else:
        possible = [alone] if digits or users_in(request) <= {"user:uuid"} else [alone, last]
    return decided(run, possible, first if is_old else None)


def asked_in(request):
    """The placeholders of what a request sends, with their formats."""
    sent = ("path", "query", "headers", "json", "form", "text")
    every = texts([request[name] for name in sent if name in request], keys=True)
    known = ("user", "iteration", "coupon", "stock", "key", "attempt", "run")
    found = {m[1] for each in every if isinstance(each, str) for m in PLACEHOLDER.finditer(each)}
    return {name for name in found if name and name.partition(":")[0] in known}


def users_in(request):
    """Those of them that say who asks."""
    return {name for name in asked_in(request) if name.partition(":")[0] == "user"}


def decided(run, possible, usual):
    """The reading that the issue ids tell, else all; `usual` is that of versions before formats."""
    told = [(each.id, each.user) for each in run.starts if each.answer == ISSUED and each.id]
    times = Counter(id_ for id_, _ in told)
    owner = {id_: user for id_, user in told if times[id_] == 1}
    known = [(user, owner[i]) for user, id_ in run.rows if (i := plain(id_)) in owner]
    every = [*([usual] if usual else []), *possible]
    known = [each for each in known if len({one.user(each[0]) for one in every}) > 1]
    shares = [sum(one.user(user) == whose for user, whose in known) for one in every]
    for one, share in zip(every, shares):
        if known and share >= 0.9 * len(known):
            return [one]
    return [usual] if usual and (not known or shares[0] > 0.1 * len(known)) else possible


def plain(id_):
    """An issue id as a history has it, without what systems write in different ways.

    That is the case and the hyphens of a UUID, and zeros before a number.
    """
    raw = id_.encode()
    if len(raw) > 36:  # a history has the digest
        return hashlib.blake2b(raw, digest_size=16).hexdigest()
    if re.fullmatch(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", id_):
        return id_.replace("-", "").lower()
    return (id_.lstrip("0") or "0") if id_.isascii() and id_.isdigit() else id_


# What each kind of certificate has to show.


def proves(kind, facts, run, reading):
    """True if the facts are in the files, and are the violation that they are said to be."""
    rows = [(reading.user(user), id_) for user, id_ in run.rows]
    stock = run.stock if kind == "stock_differs" else run.issues
    if facts.get("stock", stock) != stock:
        return False
    if kind == "over":
        claimed = Counter(tuple(row) for row in facts["rows"])
        return claimed.total() > stock and claimed <= Counter(run.rows)
    if kind in ("promised", "more_promised"):
        return proves_promises(kind, facts, run, reading)
    if kind in ("stock_differs", "users_differ", "answer_differs"):
        return run.is_settled("consistent") and differ(kind, facts, run, reading, rows)
    if kind in ("lost", "phantom_answer", "left", "early"):
        return run.is_settled() and proves_answer(kind, facts, run, reading, rows)
    who = reading.user(facts["row"][0] if kind == "phantom_row" else facts["user"])
    told = (facts.get("answers") or [facts])[0].get("index", who)
    mine = [each for each in run.starts if each.user == who]
    stored = [id_ for user, id_ in rows if user == who]
    able = [each for each in mine if each.answer in ABLE]
    if told != who or any(reading.user(each) != who for each in facts.get("spellings", [])):
        return False
    if kind in ("two_rows", "more_rows"):
        nobody = str(facts["user"]) in ("", "None", "True", "False", "null", "true", "false", "NaN")
        claimed = sorted(stored) == sorted(facts["rows"])
        return len(stored) > run.most and claimed and not nobody
    if kind in ("twice", "more_told"):
        ids = [each.id for each in mine if each.answer == ISSUED]
        return len(set(ids) if run.repeats else ids) > run.most
    if kind == "more":
        asked = sum(each.asked for each in able) + run.missing
        return len(stored) > asked and sorted(stored) == sorted(facts["rows"])
    if kind == "phantom_row":
        return tuple(facts["row"]) in run.rows and not able and not run.missing
    return False


def proves_promises(kind, facts, run, reading):
    """True if more coupons were promised than there are."""
    users = list(map(reading.user, facts["users"]))
    if users != facts.get("indices", users):
        return False
    if kind == "promised":
        admitting = (ISSUED,) if run.holds else (ISSUED, DUPLICATE)
        told = {each.user for each in run.starts if each.answer in admitting}
        return run.most == 1 and len(users) == len(set(users)) > run.issues and told >= set(users)
    issued = [(each.user, each.id) for each in run.starts if each.answer == ISSUED]
    nameless = Counter(user for user, id_ in issued if not id_)
    coupons = Counter(user for user, id_ in set(issued) if id_)
    for user, times in nameless.items():
        coupons[user] += 1 if run.repeats else times
    return len(users) > run.issues and all(
        times <= min(coupons[user], run.most) for user, times in Counter(users).items()
    )


def differ(kind, facts, run, reading, rows):
    """True if two stores say different things of the same moment."""
    views = {name: view for name, view in run.audit["views"].items() if view["current"] is True}
    if kind == "stock_differs":
        left = views[facts["store"]]["remaining"]
        return left is not None and left == facts["remaining"] != run.stock - len(rows) * run.units
    if kind == "users_differ":
        user, users = reading.user(facts["user"]), {user for user, _ in rows}
        names = [facts["only_in"]] if facts["only_in"] in views else views
        told = [views[name]["holders"] for name in names]
        held = [set(map(reading.user, each)) for each in told if each is not None]
        wanted = facts["only_in"] in views
        return any((user in each) == wanted != (user in users) for each in held)
    answer = [
        (reading.user(row["userId"]), row.get("issueId")) for row in run.audit["answer"]["rows"]
    ]
    said = Counter((user, plain(str(id_ or ""))) for user, id_ in answer)
    stored = Counter((user, plain(id_)) for user, id_ in rows)
    if "row" not in facts:  # as many of them, but not each as often
        return said != stored
    row = reading.user(facts["row"][0]), plain(facts["row"][1])
    return (row in said) != (row in stored)


def proves_answer(kind, facts, run, reading, rows):
    """The same for a certificate that is about one answer."""
    claimed, user = facts["answer"], reading.user(facts["answer"]["user"])
    word = {"lost": ISSUED, "phantom_answer": DUPLICATE}.get(kind, SOLD_OUT)
    mine = [each for each in run.starts if each.user == user]
    id_ = plain(claimed["issue_id"])
    found = [each for each in mine if each.answer == word and (each.id == id_ or not id_)]
    stored = Counter(plain(id_) for who, id_ in rows if who == user)
    if not found or claimed.get("index", user) != user:
        return False
    if kind == "lost" and run.most == 1:
        return not (stored[id_] or stored[""] if id_ else stored)
    if kind == "lost":
        return lacks_rows([each.id for each in mine if each.answer == ISSUED], stored, run.repeats)
    if kind == "phantom_answer":
        return not stored and any(has_no_ground(each, mine, run) for each in found)
    if kind == "left":
        return len(rows) < run.issues and not run.holds
    return any(could_be_taken(each, run, rows) < run.issues for each in found)


def lacks_rows(told, stored, repeats):
    """True if a user has fewer rows than coupons that he was told of."""
    named = {id_ for id_ in told if id_}
    without = sum(not stored[id_] for id_ in named)
    kept = len(named) - without + min(without, stored[""])
    nameless = 0 if repeats and stored else told.count("")
    return without > stored[""] or nameless > stored.total() - kept


def has_no_ground(answer, mine, run):
    """True if nothing of the same user may have held a coupon when this answer was made."""
    if run.missing or not run.holds:
        return not run.missing
    for each in mine:
        if each.answer == SOLD_OUT and each.sent <= answer.ended and each.ended >= answer.sent:
            return False
        held = each.answer not in (DUPLICATE, SOLD_OUT) and not each.reached_nobody
        if held and each.sent <= answer.ended:
            return False
    return True


def could_be_taken(answer, run, rows):
    """More coupons than could be taken, at most, until an answer: the true number is smaller."""
    begun, able = Counter(), Counter()
    held = run.missing
    for each in run.starts:
        times = each.asked if run.most > 1 else 1
        able[each.user] += times if each.answer in ABLE else 0
        if each is answer or each.sent > answer.ended:
            continue
        begun[each.user] += times
        under_way = each.is_open or each.answer == ISSUED or each.ended >= answer.sent
        if run.holds and under_way and each.answer not in run.holds_nothing:
            held += times - (each.answer == ISSUED)
    stored = Counter(user for user, _ in rows)
    return held + sum(
        min(count, begun[user] + max(0, count - able[user])) for user, count in stored.items()
    )


def main(path):
    """Check the certificate at `path`; the exit code."""
    certificate = json.loads(path.read_text())
    try:
        run = Run(path.parent, certificate["files"])
        kind, facts = certificate["kind"], certificate["facts"]
        proven = all(proves(kind, facts, run, reading) for reading in readings(run))
    except (ValueError, LookupError, TypeError, AttributeError, OSError) as error:
        print(f"NOT proven: {error}")
        return 1
    print(certificate["says"], "- proven" if proven else "- NOT proven by these files", sep="\n")
    return 0 if proven else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
