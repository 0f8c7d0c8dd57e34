"""Output that cannot be written, folders that are gone, names too long, addresses that are none."""

import os
import sys
from pathlib import Path

from tests.attacks.inside import Shell, inside
from tests.attacks.on_terminal import experiment, run_of
from tests.attacks.place import Place
from tests.attacks.registry import attack

TRAFFIC = ["traffic", "--rate", "1/s", "--duration", "1s"]
COMMANDS = {
    "doctor": ["doctor", "--brief"],
    "doctor-json": ["doctor", "--json"],
    "list": ["list"],
    "list-json": ["list", "--json"],
    "show": ["show", "redis-slow"],
    "show-json": ["show", "redis-slow", "--json"],
    "validate": ["validate", "redis-slow"],
    "schema": ["schema"],
    "plan": ["plan", "redis-slow", "--short"],
    "runs": ["runs"],
    "check": ["check"],
    "check-json": ["check", "--json"],
    "report": ["report"],
    "heal": ["heal"],
    "stop": ["stop"],
    "ack": ["ack"],
    "incident": ["incident", "act", "1"],
    "release": ["release"],
    "down": ["down"],
    "export": ["traffic", "export", "--k6", "redis-slow"],
    "traffic": [*TRAFFIC, "--url", "http://127.0.0.1:1/"],
    "refused": ["run", "no-such-experiment"],
    "usage": ["run", "--no-such-option"],
    "help": ["run", "--help"],
    "version": ["--version"],
}
PLACES = {
    "full-stdout": Shell(out="/dev/full"),
    "full-stderr": Shell(err="/dev/full"),
    "both-full": Shell(out="/dev/full", err="/dev/full"),
    "closed-stdout": Shell(out="closed"),
    "closed-stderr": Shell(err="closed"),
    "both-closed": Shell(out="closed", err="closed"),
    "reader-left": Shell(out="left", err="left"),
}


@attack(
    "output",
    {f"{name}/{where}": (name, shell) for name in COMMANDS for where, shell in PLACES.items()},
)
def that_cannot_be_written(place: Place, case: tuple[str, Shell]) -> None:
    """The exit code is what it is where all can be written, and the loss is told if it can be."""
    name, shell = case
    run_of(place, "")
    whole = inside(place, *COMMANDS[name])
    lost = inside(place, *COMMANDS[name], shell=shell)
    assert lost.code == whole.code, f"exit {lost.code}, not {whole.code}: {lost.said}"
    assert "Traceback" not in lost.said, lost.said
    if shell.out in ("/dev/full", "closed") and whole.out and not shell.err:
        assert lost.err.count(b"stdout cannot be written") == 1, lost.said
    if shell.err in ("/dev/full", "closed") and whole.err and not shell.out and not whole.out:
        assert lost.out.count(b"stderr cannot be written") == 1, lost.said


@attack("output", {"closed": "closed", "full": "/dev/full"})
def the_files_of_a_run_are_whole(place: Place, out: str) -> None:
    """What is written beside stdout does not end in a file that got its number."""
    folder = run_of(place, "")
    before = {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}
    ended = inside(place, "report", shell=Shell(out=out, err=out))
    assert ended.code == 0
    for name, raw in before.items():
        assert (folder / name).read_bytes() == raw
    assert "\n# " in (folder / "postmortem.md").read_text()


REDIRECTIONS = {
    "stdout": "1>&-",
    "stderr": "2>&-",
    "all": "0<&- 1>&- 2>&-",
    "full": ">/dev/full 2>/dev/null",
}


@attack("output", REDIRECTIONS, slow=True)
def of_a_real_shell(place: Place, redirection: str) -> None:
    run_of(place, "")
    script = f'"{sys.executable}" -m gameday check {redirection}'
    whole = place.gameday("check")
    code = os.waitstatus_to_exitcode(os.system(_there(place, script)))
    assert code == whole.code, code


def _there(place: Place, script: str) -> str:
    return f'cd "{place.folder}" && {script}'


def _leave() -> None:
    """Make the current folder one that is gone."""
    folder = Path("gone").absolute()
    folder.mkdir()
    os.chdir(folder)
    folder.rmdir()


NEEDS_NO_FOLDER = {
    "doctor", "doctor-json", "schema", "stop", "ack", "release", "down", "help", "usage", "version",
}  # fmt: skip


@attack("output", COMMANDS)
def in_a_folder_that_is_gone(place: Place, arguments: list[str]) -> None:
    ended = inside(place, *arguments, shell=Shell(prepare=_leave))
    ended.is_no_bug()
    name = next(name for name, each in COMMANDS.items() if each == arguments)
    if name not in NEEDS_NO_FOLDER:
        ended.is_refused("the current folder is gone", "help: cd")


FOLDER, NAME, LONG = "d" * 300, "n" * 300 + ".yaml", "n" * 5000
NAMES = {
    "show": ["show", LONG],
    "show-file": ["show", NAME],
    "show-in-folder": ["show", f"{FOLDER}/x.yaml"],
    "validate": ["validate", LONG],
    "validate-file": ["validate", NAME],
    "validate-playbook": ["validate", f"{LONG}.md"],
    "validate-system": ["validate", "redis-slow", "--system", NAME],
    "plan": ["plan", NAME],
    "plan-system": ["plan", "redis-slow", "--system", NAME],
    "plan-runs": ["plan", "redis-slow", "--runs", FOLDER],
    "run": ["run", NAME],
    "run-system": ["run", "redis-slow", "--system", LONG],
    "run-runs": ["run", "redis-slow", "--stack", "external", "--runs", FOLDER],
    "ack": ["ack", LONG],
    "stop": ["stop", LONG],
    "heal": ["heal", LONG],
    "heal-path": ["heal", f"{FOLDER}/x"],
    "heal-runs": ["heal", "--runs", FOLDER],
    "runs": ["runs", "--runs", FOLDER],
    "check": ["check", LONG],
    "check-path": ["check", f"{FOLDER}/x"],
    "check-runs": ["check", "--runs", LONG],
    "report": ["report", FOLDER],
    "report-runs": ["report", "--runs", FOLDER],
    "traffic": ["traffic", NAME],
    "traffic-out": [*TRAFFIC, "--url", "http://127.0.0.1:1/", "--out", FOLDER],
    "traffic-summary": [*TRAFFIC, "--url", "http://127.0.0.1:1/", "--summary", FOLDER],
    "traffic-export": [*TRAFFIC, "--url", "http://127.0.0.1:1/", "--summary-export", LONG],
    "traffic-handle": [*TRAFFIC, "--url", "http://127.0.0.1:1/", "--handle-summary", FOLDER],
    "import": ["traffic", "import", f"{FOLDER}.js"],
    "export": ["traffic", "export", "--k6", NAME],
    "export-output": ["traffic", "export", "--k6", "redis-slow", "-o", FOLDER],
    "up": ["up", "--system", LONG],
    "toxiproxy": ["toxiproxy", "--config", LONG],
    "toxiproxy-host": ["toxiproxy", "--host", LONG],
    "allowed": ["plan", "redis-slow", "--allow-target", LONG],
    "schema": ["schema", LONG],
    "command": [LONG],
}


@attack("output", NAMES)
def name_too_long(place: Place, arguments: list[str]) -> None:
    ended = inside(place, *arguments)
    ended.is_refused()
    assert len(ended.said) < 12_000, "the whole name is said again and again"


@attack("output", {"playbook": "playbook: {}", "rules": "rules: [{}]"})
def name_too_long_in_a_file(place: Place, line: str) -> None:
    text = experiment("fine") + line.format(FOLDER + "/x.md") + "\n"
    place.write("experiments/odd.yaml", text)
    inside(place, "validate", "odd").is_refused("odd.yaml:")


URLS = {
    "ipv4-in-brackets": "http://[127.0.0.1]/",
    "open-bracket": "http://[::1/",
    "close-bracket": "http://]/",
    "empty-brackets": "http://[]/",
    "no-port": "http://a:b",
    "large-port": "http://a:99999",
    "negative-port": "http://127.0.0.1:-1/",
    "two-ports": "http://127.0.0.1:80:80/",
    "other-digits": "http://127.0.0.1:\uff11/",
    "no-host": "http://:80/",
    "nothing": "http://",
    "no-scheme": "//127.0.0.1",
    "ftp": "ftp://127.0.0.1/",
    "file": "file:///etc/passwd",
    "space": "http://a b/",
    "escape": "http://127.0.0.1\x1b[31m/",
    "header": "http://127.0.0.1/\r\nX: y",
    "no-utf8": "http://127.0.0.1/\udcff",
    "host-no-utf8": "http://\udcff/",
    "long-label": f"http://{'a' * 70}.example/",
    "long-host": f"http://{'a.' * 300}/",
    "long": f"http://127.0.0.1/{'a' * 100_000}",
    "credentials": "http://user:pass-word@127.0.0.1/",
    "version-in-brackets": "http://[v1.x]/",
    "backslash": "http://127.0.0.1\\@example.com/",
}


@attack("output", URLS)
def address_that_is_none(place: Place, url: str) -> None:
    ended = inside(place, *TRAFFIC, "--url", url)
    ended.is_refused("help:")
    assert "pass-word" not in ended.said


FIELDS = ("base_url", "admin_url", "metrics", "toxiproxy", "prometheus", "alertmanager")


@attack(
    "output",
    {f"{field}/{name}": (field, URLS[name]) for field in FIELDS for name in list(URLS)[:8]},
)
def address_in_a_system_file(place: Place, case: tuple[str, str]) -> None:
    field, url = case
    values = {"base_url": '"http://127.0.0.1:1"'}
    values[field] = f'["{url}"]' if field == "metrics" else f'"{url}"'
    lines = [f"{name}: {value}" for name, value in values.items()]
    lines += ["name: odd", "requests: {issue: {post: /, outcomes: {issued: {status: 200}}}}"]
    place.write("system.yaml", "\n".join([*lines, "audit: {get: /}"]) + "\n")
    inside(place, "validate", "system.yaml").is_refused("system.yaml:")


BODIES = {
    "lists": "[" * 30_000,
    "objects": '{"a":' * 30_000,
    "open-objects": "{" * 30_000,
    "closed-lists": "[" * 900 + "]" * 900,
    "infinity": "1e999",
    "nan": "NaN",
    "digits": "9" * 10_000,
    "half-a-pair": '"\\ud800"',
    "no-utf8": '"\udcff"',
    "key-no-utf8": '{"\udcff": 1}',
    "nothing": "",
}


@attack("output", BODIES)
def body_that_is_no_json(place: Place, body: str) -> None:
    url = "http://127.0.0.1:1/"
    inside(place, *TRAFFIC, "--url", url, "--json", body).is_refused("--json", "help:")


@attack("output", {"header": "--header", "threshold": "--threshold", "expect": "--expect"})
def argument_that_is_no_utf8(place: Place, option: str) -> None:
    inside(place, *TRAFFIC, "--url", "http://127.0.0.1:1/", option, "a: \udcff").is_refused()
