"""Rules about secrets and addresses: no secret in a file, every address a whole one.

A secret may also be a word of the run: a password `redis`, a token that is the coupon's code. Names
are never masked, because they are read back; so such a secret stands in every file of the run, and
where it stands in a text for people that text reads `***`. That is no error, and hardly meant.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from gameday.core import files
from gameday.core.errors import UsageError
from gameday.core.network.credentials import has_credentials
from gameday.core.network.urls import Base, path_problem
from gameday.core.secrets.redaction import SHORTEST, TELLING, forms, user_of
from gameday.spec.inputs import FileWarning, Findings, Inputs, LoadedSystem
from gameday.spec.request import METHODS
from gameday.spec.system import ADDRESSES
from gameday.spec.template import PLACEHOLDER, PLACEHOLDERS, WHOLE_PATH
from gameday.spec.yaml import Document
from gameday.telemetry.failures import steady_state

Loc = tuple[str | int, ...]
_REQUESTS = ("campaign", "close", "audit")
_GROUPS = ("requests", "actions", "before_run")
_NO_SECRET = re.compile(r"|\d+|true|false|.*\{[a-z_]+\}.*", re.IGNORECASE | re.DOTALL)
_SCHEME = re.compile(r"[A-Za-z-]{1,16}\s+")
_BETWEEN = re.compile(r"[\s;,=\"']+")
_LONGEST_WORD = 8  # letters and digits of a word beside a placeholder, as in `user-{user}`
_MOST_DIGITS = 2  # of such a word, as in `v2.{token}`
_OF_SESSION = re.compile(rf"{TELLING.pattern}|sess|sid\b|jwt|pin\b|pwd|csrf", re.IGNORECASE)
_LONGEST_NAME = 24  # of a cookie
_NO_NAME = re.compile(r"[\W_]+")
_OURS = {
    "a word of gameday's own": "gameday toxic proxy traffic request process folder redis postgres "
    "toxiproxy service issued duplicate sold_out refused accepted unknown dropped latency",
}


def of_system(loaded: LoadedSystem) -> Findings:
    """Secrets, promises, addresses and paths of a system file."""
    yield from _no_secrets(loaded)
    yield from _unchecked_semantics(loaded)
    yield from _lead_nowhere_else(loaded)


def _unchecked_semantics(loaded: LoadedSystem) -> Findings:
    """Promises of the format that no check of this version holds a system to."""
    semantics = loaded.system.semantics
    unchecked = {"duplicate": "first", "replay": "idempotent"}
    for key, value in unchecked.items():
        if getattr(semantics, key) == value:
            text = f"{key!r}: that a system keeps {value!r} is not checked yet"
            yield FileWarning(loaded.document.place("semantics", key), text)


def _no_secrets(loaded: LoadedSystem) -> Findings:
    """Passwords in addresses or headers would end up in every run directory and report."""
    document = loaded.document
    for loc, _, node in document.root.walk():
        if not isinstance(node.content, str):
            continue
        key = next((str(part) for part in reversed(loc) if isinstance(part, str)), "")
        if has_credentials(node.content):
            problem = f"{key!r}: an address with credentials in it"
            help = "take the secret from {env: NAME} or {file: PATH}"
            yield document.error(loc, problem, help=help)
        elif _is_secret_header(loc, key, node.content) or (
            _is_for_command(loc) and TELLING.search(key)
        ):
            problem = f"{key!r}: a secret written out"
            yield document.error(loc, problem, help="write {env: NAME} or {file: PATH}")
        elif _is_written_out(loc, key, node.content):
            problem = f"{key!r}: a secret written out"
            yield document.error(loc, problem, help="write {secret}: one is made up at each start")
        elif loc[0] in ADDRESSES and key in ("url", loc[0]):
            yield from _address(document, loc, node.content)


def _is_secret_header(loc: Loc, key: str, text: str) -> bool:
    """A header that is secret by its name, written out: a placeholder is no secret."""
    written = len(loc) > 1 and loc[-2] == "headers" and bool(TELLING.search(key))
    return written and not (loc[0] == "requests" and _is_of_placeholders(text))


def _is_of_placeholders(text: str) -> bool:
    """True for a header whose placeholders say all but short words: a scheme, a name, a prefix.

    `Bearer {token}`, `uid={user}`, `user-{user}` and `theme=dark; sid={session}` are. A word at a
    placeholder has hardly a digit, one beside it is too short for a secret, and one that is far
    from any has letters alone, and no name of a session.
    """
    marked = PLACEHOLDER.sub(lambda found: "\0" if found[1] else found[0], text)
    if "\0" not in marked:
        return False
    rest = marked[found.end() :] if (found := _SCHEME.match(marked)) else marked
    for pair in re.split(r"[;,&]", rest):
        name, equals, value = pair.partition("=")
        if len(name.strip()) > _LONGEST_NAME and equals:
            return False
        words = _BETWEEN.split(value if equals else name)
        if not all(_may_stand(word, name if equals else "", value) for word in words):
            return False
    return True


def _may_stand(word: str, name: str, value: str) -> bool:
    """True for a word of a header that is hardly a secret; `name` and `value` are of its pair."""
    letters = _NO_NAME.sub("", word)
    if "\0" in word:
        digits = sum(map(str.isdigit, letters))
        return len(letters) <= _LONGEST_WORD and digits <= _MOST_DIGITS
    if name and _OF_SESSION.search(name):
        return not letters
    is_far = bool(name) and "\0" not in value
    return len(letters) < SHORTEST or (
        is_far and letters.isalpha() and len(letters) <= _LONGEST_WORD
    )


def _is_for_command(loc: Loc) -> bool:
    """True for a text in the environment of a command."""
    return loc[:2] == ("audit", "env") or (loc[:1] == ("before_run",) and loc[2:3] == ("env",))


def _is_written_out(loc: tuple[str | int, ...], key: str, text: str) -> bool:
    """A value of the service's environment that is secret by its name, and no placeholder."""
    return (
        loc[:2] == ("start", "env") and bool(TELLING.search(key)) and not _NO_SECRET.fullmatch(text)
    )


def _address(document: Document, loc: tuple[str | int, ...], text: str) -> Findings:
    key = str(loc[0])
    try:
        Base.parse(text, query=key == "metrics")
    except UsageError as error:
        yield document.error(loc, f"{key!r}: {error.message}", help=error.help)


def of_experiment(inputs: Inputs) -> Findings:
    """A secret that can be read here, and that is a name of the run or stands in one."""
    document = inputs.system.document
    behind = dict(_behind(inputs))
    words = _words(inputs)
    for value in behind.values():
        words.setdefault(user_of(value), "the user of a store")
    for loc, value in behind.items():
        found = next((what for form in forms(value) if (what := _what(form, words))), "")
        if found:
            key = next((part for part in reversed(loc[:-1]) if isinstance(part, str)), "")
            text = (
                f"{key!r}: the secret behind it is a word of this run ({found}): the run's files "
                "show it to everybody, and texts will read *** for that word; choose another"
            )
            yield FileWarning(document.place(*loc), text)


def _behind(inputs: Inputs) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Each reference of the system file, and its value where that is to be had here."""
    for loc, _, node in inputs.system.document.root.walk():
        if loc[-1] not in ("env", "file") or not isinstance(node.content, str):
            continue
        if loc == ("users", "file"):  # no secret by itself, but thousands of them
            continue
        value = os.environ.get(node.content) if loc[-1] == "env" else _in_file(node.content)
        if value:
            yield loc, value


def _in_file(name: str) -> str:
    try:
        raw = files.read_bytes(Path(name), files.SECRET_BYTES)
    except OSError:
        return ""  # a run will say that it cannot be read
    return raw.decode(errors="replace").strip()


def _what(form: str, words: Mapping[str, str]) -> str:
    """The meaning of the first name that contains the secret, "" for none."""
    return next((what for word, what in words.items() if form in word), "")


def _words(inputs: Inputs) -> dict[str, str]:
    """Every name of the run, and what it names."""
    system, experiment = inputs.system.system, inputs.experiment.experiment
    faults = experiment.method
    changed = [each for f in faults for change in f.changes() for each in change.as_json().values()]
    named = {
        "the experiment": [experiment.name, experiment.playbook or ""],
        "the coupon": [experiment.campaign.coupon],
        "the system": [system.name],
        "a proxy": [*system.proxies, *system.proxy_names.values()],
        "a fault": [text for f in faults for text in (f.id or "", f.fault, f.on)],
        "what a fault changes": [text for text in changed if isinstance(text, str)],
        "a scenario": list(experiment.traffic),
        "an objective": [objective.name for objective in steady_state(experiment)],
        "an alert": [alert.alert for alert in experiment.expect.alerts],
        "an action": list(system.actions),
        "a dependency": list(system.dependencies),
        **{what: text.split() for what, text in _OURS.items()},
    }
    return {word: what for what, words in reversed(named.items()) for word in words}


def _lead_nowhere_else(loaded: LoadedSystem) -> Findings:
    """Every path begins with one /, and holds nothing that may be read as a host."""
    document = loaded.document
    for loc, _, node in document.root.walk():
        path = node.content
        if not isinstance(path, str) or not _is_path(loc) or _is_whole(loc, path):
            continue
        if wrong := path_problem(path):
            problem = f"{str(loc[-1])!r}: the path {path[:100]!r} {wrong}"
            yield document.error(
                loc, problem, help="begin with / and percent-encode what is special"
            )


def _is_whole(loc: Loc, path: str) -> bool:
    """True for a path that is a column or a captured value as a whole."""
    alone = WHOLE_PATH.fullmatch(path)
    return loc[0] == "requests" and alone is not None and alone[1] not in PLACEHOLDERS


def _is_path(loc: Loc) -> bool:
    """True for the location of a path: under a method of a request, or under `start.ready`."""
    if loc == ("start", "ready"):
        return True
    *where, method = loc
    if where[:2] == ["requests", "before"] or where == ["requests", "issue", "poll"]:
        return len(where) == 3 and method in METHODS
    if where == ["campaign", "create"]:
        return method in METHODS
    depth = 1 if where[:1] and where[0] in _REQUESTS else 2
    known = bool(where) and where[0] in (*_REQUESTS, *_GROUPS)
    return known and len(where) == depth and method in METHODS
