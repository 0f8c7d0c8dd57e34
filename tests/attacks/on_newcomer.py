"""What somebody does who tries it for the first time, and must be told in words that help."""

import json
import os
from pathlib import Path
from typing import Any

from tests.attacks.inside import Shell, inside
from tests.attacks.place import Place
from tests.attacks.registry import attack
from tests.attacks.server import Server, answer

SYSTEM = """\
name: my-issuance
base_url: {url}
requests:
  issue:
    post: /issue
    json: {{user: "{{user}}", code: "{{coupon}}"}}
    capture: {{issue_id: id}}
    outcomes: {{issued: {{status: 200}}, sold_out: {{status: 410}}}}
audit: {{get: /audit}}
"""
EXPERIMENT = """\
name: tiny
title: t
hypothesis: h
campaign: {coupon: C1, stock: 5, users: 9}
traffic: {drop: {executor: constant-arrival-rate, rate: 1/s, duration: 1s}}
"""


def _planned(place: Place, url: str) -> str:
    place.write("tiny.yaml", EXPERIMENT)
    place.write("mine.yaml", SYSTEM.format(url=url))
    ended = inside(
        place, "plan", "tiny.yaml", "--stack", "external", "--system", "mine.yaml",
        shell=Shell(environment={"COLUMNS": "400"}),
    )  # fmt: skip
    ended.is_no_bug()
    assert ended.code in (2, 3), ended.said
    return ended.said


AUDITS: dict[str, tuple[Any, str]] = {
    "of-another-coupon": ({"code": "ZZZ", "stock": 5, "rows": []}, "it answers for 'ZZZ'"),
    "stock-in-words": ({"code": "C1", "stock": "many", "rows": []}, "its `stock` is not a number"),
    "stock-below-zero": ({"code": "C1", "stock": -5, "rows": []}, "its `stock` is not a number"),
    "no-stock": ({"code": "C1", "stock": None, "rows": []}, "its `stock` is not a number"),
}


@attack("newcomer", AUDITS)
def audit_that_lies(place: Place, case: tuple[Any, str]) -> None:
    """Before the traffic it is said what is wrong with the audit, not something beside it."""
    told, expected = case
    with Server({"/audit": lambda peer: peer.send(answer(json.dumps(told)))}) as server:
        said = _planned(place, server.url)
    assert expected in said, said
    assert "number of a user" not in said, said


@attack("newcomer")
def service_that_is_not_started(place: Place) -> None:
    """Nobody listens: the audit of the system file is not to blame."""
    said = _planned(place, "http://127.0.0.1:9")
    assert "is it running" in said, said
    assert "is `audit` of the system file right" not in said, said


@attack("newcomer")
def experiment_without_its_ending(place: Place) -> None:
    place.write("tiny.txt", EXPERIMENT)
    inside(place, "validate", "tiny.txt").is_refused("ends in .yaml")


VALUES = {
    "duration": ('responder_delay = "soon"', "'soon' is not a duration", "'soon' 'soon'"),
    "bound": ("[bounds]\nanswer_bytes = 5", "from 1000 to 1000000000", "e+"),
}


@attack("newcomer", VALUES)
def setting_that_is_wrong(place: Place, case: tuple[str, str, str]) -> None:
    """The value is named once, and a number is written as people write it."""
    text, expected, never = case
    place.write("gameday.toml", text)
    ended = inside(place, "runs")
    ended.is_refused(expected)
    assert never not in ended.said, ended.said


@attack("newcomer")
def system_set_that_is_not_there(place: Place) -> None:
    place.write("gameday.toml", 'system = "nope.yaml"')
    ended = inside(place, "doctor", "--json")
    (found,) = [each for each in json.loads(ended.out)["findings"] if each["name"] == "system"]
    assert found["status"] == "warn", found
    assert "not there" in found["found"], found


@attack("newcomer")
def runs_under_a_name_too_long(place: Place) -> None:
    ended = inside(place, "runs", "--runs", "d" * 300)
    ended.is_refused("too long")
    assert "as the user whose it is" not in ended.said, ended.said


@attack("newcomer", {"relative": "state", "here": ".", "empty": ""})
def state_where_you_stand(place: Place, folder: str) -> None:
    """A relative XDG_STATE_HOME would be another state, with another key, in each folder."""
    home = place.folder / "home"
    inside(place, "runs", shell=Shell(environment={"XDG_STATE_HOME": folder})).is_no_bug()
    inside(place, "stop", shell=Shell(environment={"XDG_STATE_HOME": folder})).is_no_bug()
    found = {os.path.relpath(each, place.folder) for each in place.folder.rglob("gameday")}
    assert found == {str(Path(home.name, ".local", "state", "gameday"))}, found
