"""Settings that somebody else has written, or that are not what settings should be."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from tests.attacks.inside import Shell, inside
from tests.attacks.place import Place
from tests.attacks.registry import attack

WIDENING = {
    "list": 'allow_targets = ["evil.example"]\n',
    "quoted": '"allow_targets" = ["evil.example"]\n',
    "behind": 'runs = "x"\n# allow_targets = []\n  allow_targets = ["evil.example"]\n',
    "empty": "allow_targets = []\n",
    "webhooks": 'webhooks = ["http://evil.example/"]\n',
    "webhooks-table": '[webhooks]\nslack = "http://evil.example/"\n',
}


@attack("settings", WIDENING)
def project_that_widens(place: Place, text: str) -> None:
    """A cloned repository must not say whom gameday may reach or tell."""
    place.write("gameday.toml", text)
    for command in (["runs"], ["plan", "redis-slow"], ["list"]):
        ended = inside(place, *command)
        if command != ["list"]:
            ended.is_refused("gameday.toml:", "must not widen", "help:")


@attack("settings")
def own_allow_list_counts(place: Place) -> None:
    """What stands in the user's own file need not be said again."""
    url = "http://192.0.2.1:9/"
    sending = ["traffic", "--url", url, "--rate", "1/s", "--duration", "1s", "--timeout", "1s"]
    assert "is not this machine" in inside(place, *sending).said
    place.write("home/config/gameday/config.toml", 'allow_targets = ["192.0.2.1"]\n')
    assert "is not this machine" not in inside(place, *sending).said


@attack("settings", {name: f"GAMEDAY_{name}" for name in ("ALLOW_TARGETS", "WEBHOOKS")})
def environment_that_widens(place: Place, name: str) -> None:
    shell = Shell(environment={name: "evil.example"})
    inside(place, "runs", shell=shell).is_refused(name, "must not widen")


@attack("settings", {"relative": "config", "empty": "", "here": "."})
def configuration_in_the_project(place: Place, folder: str) -> None:
    """A relative XDG_CONFIG_HOME would make the project's file the user's own."""
    place.write(f"{folder or '.'}/gameday/config.toml", 'runs = "stolen"\n')
    ended = inside(place, "runs", shell=Shell(environment={"XDG_CONFIG_HOME": folder}))
    assert "stolen" not in ended.said, ended.said


LEADING_OUT = {
    "absolute": 'runs = "/tmp"\n',
    "up": 'runs = "../other"\n',
    "up-inside": 'runs = "a/../../other"\n',
    "home": 'runs = "~/other"\n',
    "system": 'system = "/etc/passwd"\n',
    "system-up": 'system = "../../system.yaml"\n',
}


@attack("settings", LEADING_OUT)
def project_that_leads_out(place: Place, text: str) -> None:
    place.write("gameday.toml", text)
    command = ["plan", "redis-slow"] if text.startswith("system") else ["runs"]
    inside(place, *command).is_refused("gameday.toml:1:1", "leads out of the project")


BAD = {
    "no-toml": (b"runs = \n", "gameday.toml:1:8"),
    "open-list": (b"a = [\n", "gameday.toml:1:"),
    "no-utf8": (b'runs = "x"\n# \xff\n', "gameday.toml:2:3"),
    "nul": (b'runs = "x\\u0000"\n', "gameday.toml:1:1"),
    "unknown": (b'\n\nrun = "x"\n', "gameday.toml:3:1"),
    "unknown-table": (b"[bound]\nanswer_bytes = 1\n", "gameday.toml:1:1"),
    "unknown-in-table": (b"[bounds]\n\n  answers = 1\n", "gameday.toml:3:3"),
    "no-table": (b"generator = 1\n", "gameday.toml:1:1"),
    "twice": (b'runs = "a"\nruns = "b"\n', "gameday.toml:2:"),
    "number-for-text": (b"runs = 7\n", "gameday.toml:1:1"),
    "text-for-number": (b'[bounds]\nanswer_bytes = "8 MB"\n', "gameday.toml:2:1"),
    "true-for-number": (b"[generator]\nkept_from = true\n", "gameday.toml:2:1"),
    "nan": (b"[generator]\nkept_from = nan\n", "gameday.toml:2:1"),
    "infinite": (b"[generator]\nlag_ms = inf\n", "gameday.toml:2:1"),
    "too-large": (b"[bounds]\nanswer_bytes = 99999999999999\n", "gameday.toml:2:1"),
    "negative": (b"[bounds]\nanswer_bytes = -1\n", "gameday.toml:2:1"),
    "zero-share": (b"[generator]\nlag_share = 0\n", "gameday.toml:2:1"),
    "no-stack": (b'stack = "cloud"\n', "gameday.toml:1:1"),
    "list-for-stack": (b"stack = []\n", "gameday.toml:1:1"),
    "no-duration": (b'responder_delay = "soon"\n', "gameday.toml:1:1"),
    "crossed": (b"[generator]\nlimited_below = 0.99\nkept_from = 0.9\n", "gameday.toml"),
    "deep": (b"a = " + b"[" * 20_000 + b"\n", "gameday.toml:"),
    "deep-tables": (b"[" + b"a." * 5000 + b"a]\n", "gameday.toml:"),
    "large": (b"#" * 100_000, "gameday.toml"),
    "escape": (b'"\\u001b[31mred" = 1\n', "gameday.toml:1:1"),
    "decoy": (b"runs = '''\nstack = 1\n'''\nstack = 1\n", "gameday.toml:4:1"),
}


@attack("settings", BAD)
def bad_file(place: Place, case: tuple[bytes, str]) -> None:
    content, where = case
    place.write("gameday.toml", content)
    # whatever asks first for a setting tells it; `run` asks for all of them
    inside(place, "run", "redis-slow", "--stack", "external").is_refused(where, "help:")
    ended = inside(place, "doctor", "--brief")
    assert ended.code == 4, ended.said
    assert "\x1b" not in ended.said


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def _circle(path: Path) -> None:
    path.symlink_to(path.name)


def _unreadable(path: Path) -> None:
    path.mkdir()


NO_FILES: dict[str, Callable[[Path], None]] = {
    "fifo": _fifo,
    "device": _device,
    "dangling": _dangling,
    "circle": _circle,
    "folder": _unreadable,
}


@attack("settings", NO_FILES)
def no_file(place: Place, make: Callable[[Path], None]) -> None:
    make(place.folder / "gameday.toml")
    inside(place, "runs").is_refused("gameday.toml:1:1", "cannot be read", "help:")


@attack("settings", {"file": ("config.toml", 0o666), "folder": ("", 0o777)})
def own_file_that_anybody_writes(place: Place, case: tuple[str, int]) -> None:
    name, mode = case
    path = place.write("home/config/gameday/config.toml", 'runs = "planted"\n')
    (path if name else path.parent).chmod(mode)
    inside(place, "runs").is_refused("config.toml:1:1", "written by anybody", "chmod o-w")


@attack("settings", {"project": "gameday.toml", "user": "home/config/gameday/config.toml"})
def file_of_another_user(place: Place, name: str) -> None:
    path = place.write(name, 'runs = "planted"\n')
    if os.geteuid() != 0:
        return  # only root can give a file away
    os.chown(path, 65534, 65534)
    inside(place, "runs").is_refused(f"{path.name}:1:1", "another user's")


@attack("settings", {"above-the-root": True, "no-repository": False})
def file_above_the_project(place: Place, root: bool) -> None:
    place.write("gameday.toml", 'runs = "planted"\n')
    (place.folder / "project" / "inner").mkdir(parents=True)
    if root:
        (place.folder / "project" / ".git").mkdir()
    ended = inside(place, "runs", shell=Shell(prepare=lambda: os.chdir("project/inner")))
    assert ended.code == 0, ended.said
    assert "planted" not in ended.said


ORDER = {
    "default": ("", "", "", [], "runs"),
    "project": ("p", "", "", [], "p"),
    "user": ("p", "/u", "", [], "/u"),
    "environment": ("p", "/u", "e", [], "e"),
    "option": ("p", "/u", "e", ["--runs", "o"], "o"),
}


@attack("settings", ORDER)
def order_of_the_places(place: Place, case: tuple[str, str, str, list[str], str]) -> None:
    project, user, environment, options, wins = case
    if project:
        place.write("gameday.toml", f'runs = "{project}"\n')
    if user:
        place.write("home/config/gameday/config.toml", f'runs = "{user}"\n')
    shell = Shell(environment={"GAMEDAY_RUNS": environment} if environment else {})
    ended = inside(place, "runs", *options, shell=shell)
    assert ended.said == f"no runs in {wins}\n", ended.said


BAD_VARIABLES = {
    "stack": {"GAMEDAY_STACK": "cloud"},
    "delay": {"GAMEDAY_RESPONDER_DELAY": "\x1b[31m"},
    "runs-no-utf8": {"GAMEDAY_STACK": "\udcff"},
    "number": {"GAMEDAY_GENERATOR_KEPT_FROM": "much"},
    "nan": {"GAMEDAY_GENERATOR_KEPT_FROM": "nan"},
    "digits": {"GAMEDAY_BOUNDS_ANSWER_BYTES": "9" * 5000},
    "infinite": {"GAMEDAY_GENERATOR_LAG_MS": "1e999"},
}


@attack("settings", BAD_VARIABLES)
def bad_variable(place: Place, environment: dict[str, str]) -> None:
    ended = inside(place, "run", "redis-slow", shell=Shell(environment=environment))
    ended.is_refused(next(iter(environment)), "help:")
    assert "\x1b" not in ended.said


@attack("settings")
def stopping_needs_no_settings(place: Place) -> None:
    """What takes faults out of a run is not kept from it by a bad file."""
    place.write("gameday.toml", "broken")
    for command in (["stop"], ["ack"], ["release"], ["stop", "--hold", "x"], ["down"], ["--help"]):
        assert "gameday.toml" not in inside(place, *command).said


@attack("settings")
def doctor_shows_each_value_and_its_place(place: Place) -> None:
    place.write("gameday.toml", 'runs = "evidence"\n[generator]\nkept_from = 0.98\n')
    place.write("home/config/gameday/config.toml", 'allow_targets = ["staging.example"]\n')
    shell = Shell(environment={"GAMEDAY_STACK": "external"})
    body = json.loads(inside(place, "doctor", "--json", shell=shell).out)
    found = {each["name"]: each["found"] for each in body["findings"]}
    assert found["runs"] == "evidence (project: gameday.toml)"
    assert found["generator.kept_from"] == "0.98 (project: gameday.toml)"
    assert found["stack"] == "external (environment: GAMEDAY_STACK)"
    assert found["allow_targets"].startswith("staging.example (user: ")
    assert found["bounds.answer_bytes"] == "8000000 (default)"
