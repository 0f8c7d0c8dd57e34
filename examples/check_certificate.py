"""Check a certificate of a run: look up each of its facts in the run's own files.

    python check_certificate.py RUN/certificate-no_over_issuance.json

Uses nothing of gameday, only Python. Exit code 0: the facts are there and prove the violation;
1: a fact is not there, or they prove nothing. docs/certificates.md explains each kind.
"""

import hashlib
import json
import struct
import sys
from collections import Counter
from pathlib import Path

# A history file: from byte 4096 on 100 bytes a request (version 2 of the format).
RECORD = struct.Struct("<IHBBqqqqqiHH3eBB36s")
ISSUED, DUPLICATE, SOLD_OUT, REFUSED, ACCEPTED, UNKNOWN, DROPPED = range(7)


def requests(run):
    """Every request: user, answer, sent, ended (ns), issue id, reason, how often it was asked."""
    for path in sorted((run / "history").glob("*.bin")):
        raw = path.read_bytes()
        raw = raw[4096 : len(raw) - (len(raw) - 4096) % RECORD.size]
        for record in RECORD.iter_unpack(raw):
            _, _, answer, why, user, due, sent, _, ended, *_, asked, _, id_ = record
            yield user, answer, sent or due, ended, id_.rstrip(b"\0").decode(), why, max(asked, 1)


def proves(kind, facts, run):
    """True if the facts are in the files, and are the violation that they are said to be."""
    audit = json.loads((run / "audit.json").read_text())
    rows = [tuple(row) for row in audit["rows"]]
    history = list(requests(run))
    system = json.loads((run / "inputs" / "effective.json").read_text())["system"]
    semantics = system.get("semantics", {})
    units, per_user = semantics.get("units", 1), semantics.get("per_user", "one")
    most = {"one": 1, "many": float("inf")}.get(per_user, per_user)  # that one user may hold
    stock = facts.get("stock")
    answers = facts.get("answers") or [facts]
    who = answers[0].get("index", facts.get("user"))  # the history's number, where it is not the id
    if isinstance(facts.get("user"), int) and who != facts["user"]:
        return False
    of_user = [each for each in history if each[0] == who]
    if kind == "over":
        claimed = Counter(tuple(row) for row in facts["rows"])
        return claimed.total() > audit["stock"] // units == stock and claimed <= Counter(rows)
    if kind in ("promised", "more_promised"):
        admitting = (ISSUED, DUPLICATE) if most == 1 else (ISSUED,)
        told = Counter(user for user, answer, *_ in history if answer in admitting)
        users = Counter(facts.get("indices", facts["users"]))
        if most == 1 and users.total() > len(users):
            return False
        return users.total() > stock and users <= told
    spellings = set(facts.get("spellings") or [str(facts.get("user"))])
    if not all(alike(each, str(facts.get("user"))) for each in spellings):
        return False
    mine = [id_ for user, id_ in rows if str(user) in spellings]
    if kind in ("two_rows", "more_rows"):
        return len(mine) > most and sorted(mine) == sorted(facts["rows"])
    if kind in ("twice", "more_told"):
        return sum(answer == ISSUED for _, answer, *_ in of_user) > most
    if kind == "more":
        able = (ISSUED, DUPLICATE, ACCEPTED, UNKNOWN)
        asked = sum(each[6] for each in of_user if each[1] in able)
        return len(mine) > asked and sorted(mine) == sorted(facts["rows"])
    if kind == "stock_differs":
        view = audit["views"][facts["store"]]
        return view["remaining"] == facts["remaining"] != stock - len(rows) * units
    if kind == "users_differ":
        view = set(audit["views"][the_view(audit, facts)]["holders"])
        return (facts["user"] in view) != (facts["user"] in {user for user, _ in rows})
    if kind == "answer_differs":
        said = {(row["userId"], row.get("issueId")) for row in audit["answer"]["rows"]}
        return (tuple(facts["row"]) in said) != (tuple(facts["row"]) in rows)
    if kind == "phantom_row":
        able = (ISSUED, DUPLICATE, ACCEPTED, UNKNOWN)
        row = tuple(facts["row"])
        who = facts.get("index", row[0])
        if isinstance(row[0], int) and who != row[0]:
            return False
        return row in rows and not any(a in able for user, a, *_ in history if user == who)
    return proves_answer(kind, facts, rows, history)


def proves_answer(kind, facts, rows, history):
    """The same for a certificate that is about one answer."""
    claimed, stock = facts["answer"], facts.get("stock")
    user, id_ = claimed["user"], claimed["issue_id"]
    index = claimed.get("index", user)
    word = {"lost": ISSUED, "phantom_answer": DUPLICATE}.get(kind, SOLD_OUT)
    found = [r for r in history if r[0] == index and r[1] == word and (r[4] == id_ or not id_)]
    if not found or (isinstance(user, int) and index != user):
        return False
    if kind == "lost" and "answers_of_the_user" in facts:  # who may have several
        return lacks_rows([id_ for u, id_ in rows if u == user], history, index)
    if kind == "lost":
        return not any(u == user and (not id_ or i in (id_, "")) for u, i in rows)
    if kind == "phantom_answer":
        return not any(u == user for u, _ in rows)
    if kind == "left":
        return len(rows) < stock
    # More than could be taken, at most: so the true number is smaller still.
    one_each = len({u for u, _ in rows}) == len(rows)
    if kind == "early" and one_each and "index" not in claimed:
        holders = {u for u, _ in rows}
        for _, _, sent, ended, *_ in found:
            taken = {u for u, _, begun, *_ in history if u in holders and begun <= ended}
            held = sum(
                begun <= ended and (end >= sent or answer in (UNKNOWN, ACCEPTED))
                for u, answer, begun, end, *_ in history
                if answer not in (ISSUED, DROPPED) and u != user
            )
            if len(taken) + held < stock:
                return True
    return False


def alike(one, other):
    """True if two spellings may be of one user: by case, hyphens, zeros, or the number alone."""
    plain = [text.lower().replace("-", "") for text in (one, other)]
    numbers = ["".join(filter(str.isdigit, text)).lstrip("0") for text in plain]
    is_number = any(text.isdigit() for text in plain)
    return plain[0] == plain[1] or (is_number and numbers[0] == numbers[1])


def lacks_rows(mine, history, index):
    """True if a user has fewer rows than coupons that he was told of."""
    told = [id_ for u, answer, _, _, id_, *_ in history if u == index and answer == ISSUED]
    ids, nameless = {id_ for id_ in told if id_}, told.count("")
    fitting = mine if nameless else [id_ for id_ in mine if id_ in ids or not id_]
    return len(fitting) < len(ids) + nameless


def the_view(audit, facts):
    """The store that a certificate of different users is about; the only one where it says none."""
    return facts["only_in"] if facts["only_in"] in audit["views"] else next(iter(audit["views"]))


def main(path):
    """Check the certificate at `path`; the exit code."""
    run, certificate = path.parent, json.loads(path.read_text())
    for name, digest in certificate["files"].items():
        if hashlib.sha256((run / name).read_bytes()).hexdigest() != digest:
            print(f"{name} is not the file that the certificate was made from")
            return 1
    proven = proves(certificate["kind"], certificate["facts"], run)
    print(certificate["says"], "- proven" if proven else "- NOT proven by these files", sep="\n")
    return 0 if proven else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
