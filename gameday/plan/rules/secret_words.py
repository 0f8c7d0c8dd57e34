"""Rules about secrets that are words: a password `redis`, a token that is the coupon's code.

Names are never masked, because they are read back; so a secret that is one of them stands in every
file of the run, and where it stands in a text for people that text reads `***`. Neither is an
error, and both are hardly meant.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from gameday.core import files
from gameday.core.secrets.redaction import forms, user_of
from gameday.spec.inputs import FileWarning, Findings, Inputs

_OURS = {
    "a word of gameday's own": "gameday toxic proxy traffic request process folder redis postgres "
    "toxiproxy service issued duplicate sold_out refused accepted unknown dropped latency",
}


def secrets_are_no_words(inputs: Inputs) -> Findings:
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
        "a proxy": [*system.proxies, *system.proxies.values()],
        "a fault": [text for f in faults for text in (f.id or "", f.fault, f.on)],
        "what a fault changes": [text for text in changed if isinstance(text, str)],
        "a scenario": list(experiment.traffic),
        "an objective": [objective.name for objective in experiment.objectives],
        "an alert": [alert.alert for alert in experiment.expect.alerts],
        "an action": list(system.actions),
        "a dependency": list(system.dependencies),
        **{what: text.split() for what, text in _OURS.items()},
    }
    return {word: what for what, words in reversed(named.items()) for word in words}
