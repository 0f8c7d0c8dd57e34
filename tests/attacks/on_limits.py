"""Limits: what `validate` knows holds everywhere, and a megabyte costs less than a second."""

import asyncio
import json
import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gameday.core.errors import GamedayError, UsageError
from tests.attacks.hostile_files import CASES
from tests.attacks.place import Place
from tests.attacks.registry import attack

ROOT = Path(__file__).parent.parent.parent
URL = ("--url", "http://127.0.0.1:9/")
WITHIN_S = 1.0


@attack("limits", {name: (kind, make) for name, (kind, make) in CASES.items()})
def a_megabyte_is_validated_in_a_second(
    place: Place, case: tuple[str, Callable[[Path], Path]]
) -> None:
    from gameday.cli.files import _judge_all

    path = case[1](place.folder)
    list(_judge_all([str(ROOT / "experiments" / "redis-slow.yaml")], None))  # imports, not counted
    begun_s = time.process_time()
    (judged,) = _judge_all([str(path)], None)
    took_s = time.process_time() - begun_s
    said = json.dumps(judged.as_json())
    assert took_s < WITHIN_S, f"{took_s:.2f} s"
    assert len(said) < 100_000, f"{len(said)} characters are said"


RATES = {
    "a-billion": ("--rate", "1000000000/s", "--duration", "1s"),
    "more-than-a-billion": ("--rate", "1000000001/s", "--duration", "1s"),
    "ten-to-the-400": ("--rate", f"1{'0' * 400}/s", "--duration", "1s"),
    "a-billion-for-long": ("--rate", "1000000000/s", "--duration", "168h"),
    "a-thousand-for-days": ("--rate", "1000/s", "--duration", "48h"),
    "a-million-a-ms": ("--rate", "1000000/ms", "--duration", "1s"),
    "for-25-hours": ("--rate", "1/h", "--duration", "25h"),
    "for-years": ("--rate", "1/s", "--duration", "8760h"),
    "ten-to-the-400-hours": ("--rate", "1/s", "--duration", f"1{'0' * 400}h"),
    "nothing": ("--rate", "0/s", "--duration", "1s"),
    "an-infinite-rate": ("--rate", "inf/s", "--duration", "1s"),
    "nan": ("--rate", "nan/s", "--duration", "1s"),
    "ten-billionths": ("--rate", "0.0000000001/s", "--duration", "1s"),
    "other-digits": ("--rate", "١/s", "--duration", "1s"),
    "vus": ("--vus", "1000000000", "--duration", "1s"),
    "too-many-vus": ("--vus", "10001", "--duration", "1s"),
    "limit-of-vus": ("--vus", "10001", "--rate", "1/s", "--duration", "1s"),
    "users": ("--users", "9007199254740993", "--rate", "1/s", "--duration", "1s"),
    "no-users": ("--users", "0", "--rate", "1/s", "--duration", "1s"),
    "seed": ("--seed", str(2**63), "--rate", "1/s", "--duration", "1s"),
    "seed-of-5000-digits": ("--seed", "9" * 5000, "--rate", "1/s", "--duration", "1s"),
    "workers": ("--workers", "65", "--rate", "1/s", "--duration", "1s"),
    "timeout": ("--timeout", "8760h", "--rate", "1/s", "--duration", "1s"),
    "sleep": ("--sleep", "8760h", "--vus", "1", "--duration", "1s"),
    "delay-abort": ("--delay-abort", "8760h", "--vus", "1", "--duration", "1s"),
    "threshold": ("--threshold", "http_reqs:count<" + "9" * 400, "--vus", "1", "--duration", "1s"),
    "status": ("--threshold", "http_reqs{status:²}:count<1", "--vus", "1", "--duration", "1s"),
    "expect": ("--expect", "9" * 5000, "--rate", "1/s", "--duration", "1s"),
}


@attack("limits", RATES)
def traffic_is_refused_as_a_file_is(place: Place, arguments: Sequence[str]) -> None:
    begun_s = time.monotonic()
    place.gameday("traffic", *URL, *arguments).is_refused()
    assert time.monotonic() - begun_s < 20


NUMBERS = {
    "infinite": ("1.0e999", "normal.yaml:"),
    "of-digits": ("9" * 30 + ".5e300", "normal.yaml:"),
    "inf": (".inf", "normal.yaml:"),
    "nan": (".nan", "normal.yaml:"),
}


@attack("limits", NUMBERS)
def a_number_that_no_machine_holds_is_refused_with_its_place(
    place: Place, case: tuple[str, str]
) -> None:
    text = (ROOT / "experiments" / "normal.yaml").read_text()
    number, where = case
    place.write("normal.yaml", text.replace("seed: 1", f"seed: {number}"))
    place.gameday("validate", "normal.yaml").is_refused(where)


RUN_OPTIONS = {
    "seed": ("--seed", str(2**64)),
    "responder-delay": ("--responder-delay", "8760h"),
    "responder-delay-digits": ("--responder-delay", "9" * 400 + "s"),
}


@attack("limits", RUN_OPTIONS)
def a_run_is_refused_as_a_file_is(place: Place, arguments: Sequence[str]) -> None:
    place.gameday("run", "redis-slow", *arguments).is_refused()
    assert not (place.folder / "runs").exists()


SCENARIO = "{executor: 'constant-arrival-rate', preAllocatedVUs: 1, rate: 1, duration: '1s'}"
SCRIPTS = {
    "a-billion": SCENARIO.replace("rate: 1", "rate: 1e9"),
    "1e308": SCENARIO.replace("rate: 1", "rate: 1e308"),
    "1e308-a-ms": SCENARIO.replace("rate: 1", "timeUnit: '1ms', rate: 1e308"),
    "infinite": SCENARIO.replace("rate: 1", "rate: 1e999"),
    "duration-1e300": SCENARIO.replace("'1s'", "1e300"),
    "duration-digits": SCENARIO.replace("'1s'", f"'{'9' * 5000}s'"),
    "duration-years": SCENARIO.replace("'1s'", "'8760h'"),
    "start-time": SCENARIO.replace("rate: 1", "startTime: 1e300, rate: 1"),
    "too-long-together": SCENARIO.replace("rate: 1", "rate: 1, startTime: '24h'"),
    "time-unit": SCENARIO.replace("rate: 1", "rate: 1, timeUnit: 1e300"),
    "tiny-time-unit": SCENARIO.replace("rate: 1", "rate: 1, timeUnit: '0.000001ns'"),
    "max-vus": SCENARIO.replace("preAllocatedVUs: 1", "preAllocatedVUs: 1, maxVUs: 1e9"),
    "pre-allocated": SCENARIO.replace("preAllocatedVUs: 1", "preAllocatedVUs: 1e300"),
    "vus": "{executor: 'constant-vus', vus: 1e9, duration: '1s'}",
    "stages": "{executor: 'ramping-vus', stages: Array(2000).fill({target: 1, duration: '1s'})}",
    "steps": "{executor: 'ramping-vus', stages: Array.from({length: 1000},"
    " (_, n) => ({target: n % 2 ? 0 : 10000, duration: '1s'}))}",
    "ramp": "{executor: 'ramping-arrival-rate', preAllocatedVUs: 1,"
    " stages: [{target: 1e15, duration: '1s'}]}",
    "many": "null" + "".join(f", s{n}: {SCENARIO}" for n in range(300)),
}


@attack("limits", SCRIPTS)
def a_script_is_refused_as_a_file_is(place: Place, scenario: str) -> None:
    script = f"export const options = {{scenarios: {{a: {scenario}}}}};\n"
    place.write("a.js", script + "export default function () {}\n")
    begun_s = time.monotonic()
    place.gameday("traffic", "import", "a.js").is_refused("a.js")
    assert time.monotonic() - begun_s < 20


SECRET = "hunter2secret"
ADDRESS = f"http://someone:{SECRET}@127.0.0.1:9/path"
WHERE = {
    "url": ("traffic", "--url", ADDRESS, "--rate", "1/s", "--duration", "1s"),
    "url-equals": ("traffic", f"--url={ADDRESS}", "--rate", "1/s", "--duration", "1s"),
    "https": ("traffic", "--url", ADDRESS.replace("http", "https"), "--rate", "1/s"),
    "slash": ("traffic", "--url", f"http://a:{SECRET}/x@127.0.0.1:9/", "--vus", "1"),
    "slash-whole": (
        *("traffic", "--url", f"http://a:{SECRET}/x@127.0.0.1:9/"),
        *("--vus", "1", "--duration", "1s"),
    ),
    "no-scheme": (
        *("traffic", "--url", f"a:{SECRET}@127.0.0.1:9/", "--vus", "1", "--duration", "1s"),
    ),
    "one-slash": (
        *("traffic", "--url", f"http:/a:{SECRET}@127.0.0.1:9/", "--vus", "1", "--duration", "1s"),
    ),
    "system": ("plan", "redis-slow", "--system", ADDRESS),
    "experiment": ("run", ADDRESS),
    "validate": ("validate", ADDRESS),
    "command": (ADDRESS,),
    "option": ("run", f"--no-such={ADDRESS}"),
    "allow-target": ("run", "redis-slow", "--allow-target", ADDRESS),
    "rate": ("traffic", *URL, "--rate", ADDRESS),
    "header": ("traffic", *URL, "--header", ADDRESS, "--vus", "1", "--duration", "1s"),
    "import": ("traffic", "import", ADDRESS),
    "env": ("traffic", "import", "a.js", "--env", f"BASE={ADDRESS}"),
    "runs": ("run", "redis-slow", "--runs", ADDRESS),
    "toxiproxy": ("toxiproxy", "--host", ADDRESS),
    "stop": ("stop", "--hold", f"because of {ADDRESS}"),
    "redis": ("run", "redis-slow", "--system", f"redis://:{SECRET}@h/0"),
    "upper": ("run", "redis-slow", "--system", f"HTTP://a:{SECRET}@h/0"),
}


@attack("limits", WHERE)
def credentials_on_a_command_line_are_refused(place: Place, arguments: Sequence[str]) -> None:
    ended = place.gameday(*arguments)
    assert ended.code == 2, ended.said
    assert SECRET not in ended.said, ended.said
    _is_nowhere(place.folder)


def _is_nowhere(folder: Path) -> None:
    for path in folder.rglob("*"):
        assert SECRET not in path.name
        assert not path.is_file() or path.suffix == ".js" or SECRET not in path.read_text()


CALLS = {
    "get": f"http.get('{ADDRESS}')",
    "post": f"http.post('{ADDRESS}', '{{}}')",
    "second": f"http.post('http://127.0.0.1:9/', '{{}}'); http.get('{ADDRESS}')",
    "built": f"http.get('http://' + 'a:{SECRET}' + '@127.0.0.1/')",
    "template": f"http.get(`http://a:${{'{SECRET}'}}@127.0.0.1/`)",
    "batch": f"http.batch([['GET', '{ADDRESS}'], ['GET', '{ADDRESS}']])",
    "by-vu": f"http.get(__VU == 8 ? '{ADDRESS}' : 'http://127.0.0.1:9/')",
    "group": f"group('{ADDRESS}', () => http.get('{ADDRESS}'))",
}
HEAD = "import http from 'k6/http';\nimport {group} from 'k6';\n"
OPTIONS = "export const options = {vus: 1, duration: '1s'};\n"


@attack("limits", CALLS)
def credentials_in_a_script_are_refused(place: Place, call: str) -> None:
    place.write("a.js", f"{HEAD}{OPTIONS}export default function () {{ {call} }}\n")
    ended = place.gameday("traffic", "import", "a.js", "-o", "a.yaml")
    ended.is_refused("a.js")
    assert SECRET not in ended.said, ended.said
    assert not (place.folder / "a.yaml").exists()


@attack("limits", {"load": f"throw new Error('{ADDRESS}')", "option": f"options['{ADDRESS}'] = 1"})
def what_a_script_says_has_no_credentials(place: Place, code: str) -> None:
    place.write("a.js", f"{HEAD}{OPTIONS}{code};\nexport default function () {{}}\n")
    assert SECRET not in place.gameday("traffic", "import", "a.js").said


REGEXES = {
    "nested": "(a*)*b",
    "alternation": "(a|aa)+b",
    "three-stars": "(.*a){20}b",
    "optional": "(a?){30}a{30}b",
    "case": "(?i)(A+)+b",
    "class": "([[:alpha:]]+)+[0-9]",
}


@attack("limits", REGEXES)
def a_regular_expression_is_linear(_place: Place, pattern: str) -> None:
    from gameday.telemetry.promql import parse
    from gameday.telemetry.promql.nodes import selectors

    (_, matcher) = selectors(parse(f'x{{a=~"{pattern}"}}').node)[0].matchers
    begun_s = time.process_time()
    assert not matcher.accepts((("a", "a" * 50_000 + "!"),))
    assert time.process_time() - begun_s < WITHIN_S


CHAINS = {
    "replace": ('label_replace(@, "a", "$1$1$1$1", "a", "(.*)")', 60),
    "join": ('label_join(@, "a", "", "a", "a", "a", "a")', 60),
}


@attack("limits", CHAINS)
def a_chain_of_labels_does_not_fill_the_memory(_place: Place, chain: tuple[str, int]) -> None:
    from gameday.telemetry.promql import EvaluationError, SeriesStore, evaluate, labels, parse

    link, count = chain
    expr = "x"
    for _ in range(count):
        expr = link.replace("@", expr)
    store = SeriesStore()
    store.append(0, [(labels("x", a="a"), 1.0)])
    try:
        evaluate(parse(expr), store, 0)
    except EvaluationError as error:
        assert "characters" in error.problem
    else:
        raise AssertionError("it has a value")


BOMBS = {
    "wide": "sum_over_time((x @ 0)[3h:1s])",
    "nested": "sum_over_time(sum_over_time((x @ 0)[100s:1s])[100s:1s])",
    "many": " + ".join(f"sum_over_time((x @ 0)[{n}s:1s])" for n in range(300, 325)),
}


@attack("limits", BOMBS)
def subqueries_of_an_instant_have_a_budget(_place: Place, expr: str) -> None:
    from gameday.telemetry.promql import EvaluationError, SeriesStore, evaluate, labels, parse

    store = SeriesStore()
    store.append(0, [(labels("x", i=str(i)), 1.0) for i in range(1000)])
    begun_s = time.process_time()
    try:
        evaluate(parse(expr), store, 0)
    except EvaluationError as error:
        assert "values" in error.problem
    else:
        raise AssertionError("it has a value")
    assert time.process_time() - begun_s < WITHIN_S


BAD_REGEXES = ("a++", "(", "(?=a)", r"(a)\\\\1", "a{1001}", "(a{1000}){1000}", "[z-a]", "*")


@attack("limits", dict(zip(map(str, range(len(BAD_REGEXES))), BAD_REGEXES, strict=True)))
def a_bad_regular_expression_is_refused_with_its_place(place: Place, pattern: str) -> None:
    text = (ROOT / "experiments" / "normal.yaml").read_text()
    expr = f"""'x{{a=~"{pattern}"}} > 0'"""
    place.write("normal.yaml", f"{text}\nabort_if: [{{expr: {expr}}}]\n")
    place.gameday("validate", "normal.yaml").is_refused("normal.yaml:")


@attack("limits", {"none": 0o000, "group": 0o002, "usual": 0o022, "shut": 0o077})
def traffic_records_are_private(place: Place, umask: int) -> None:
    """The folder of --out is ours alone; a file that was asked for follows the user's umask."""
    _ = place.environment  # its home is made under the umask of now
    before = os.umask(umask)
    try:
        place.gameday(
            *("traffic", "--url", "http://127.0.0.1:9/", "--rate", "5/s", "--duration", "1s"),
            *("--out", "records", "--summary", "asked.json"),
        ).is_no_bug()
    finally:
        os.umask(before)
    kept = [place.folder / "records", *(place.folder / "records").rglob("*")]
    assert len(kept) > 3
    for path in kept:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    assert stat.S_IMODE((place.folder / "asked.json").stat().st_mode) == 0o666 & ~umask


def _link(state: Path) -> None:
    elsewhere = state.parent / "elsewhere"
    elsewhere.mkdir(parents=True)
    state.mkdir()
    (state / "gameday").symlink_to(elsewhere)


def _open(state: Path) -> None:
    state.mkdir(parents=True)
    state.chmod(0o777)


def _file(state: Path) -> None:
    state.mkdir(parents=True)
    (state / "gameday").write_text("")


@attack("limits", {"link": _link, "open-to-all": _open, "a-file": _file})
def a_state_folder_that_is_not_ours_is_refused(place: Place, make: Callable[[Path], None]) -> None:
    make(Path(place.environment["XDG_STATE_HOME"]))
    for command in (("stop",), ("down",), ("release",)):
        ended = place.gameday(*command)
        assert ended.code in (2, 4), ended.said
        assert "Traceback" not in ended.said


SAID = {
    "nothing": b"",
    "half-a-line": b'{"cmd": "st',
    "garbage": b"\x00\xff\xfe\n",
    "a-list": b"[1]\n",
    "deep": b"[" * 15_000 + b"\n",
    "endless": b"x" * 100_000,
    "deep-order": b'{"cmd": ' + b"[" * 900 + b"]" * 900 + b"}\n",
}


@attack("limits", SAID)
def the_control_socket_serves_others(place: Place, said: bytes) -> None:
    asyncio.run(_serves(place.folder, said))


async def _serves(folder: Path, said: bytes) -> None:
    from gameday.run import locks

    path = folder / "s"
    server = await locks.serve(path, lambda order: locks.Reply(ok=True, run=order.cmd))
    run = locks.UnderWay("r", os.getpid(), folder, path, has_controller=True)
    idle = []
    for _ in range(200):
        idle.append(await asyncio.open_unix_connection(path))
        idle[-1][1].write(said)
    assert (await locks.send_order(run, locks.RunCommand("stop"))).run == "stop"
    server.close()
    for _, writer in idle:
        writer.close()


MANY = {
    "rules": lambda: "groups:\n- {name: g, limit: " + "9" * 5000 + "}\n",
    "for": lambda: (
        "groups:\n- name: g\n  rules:\n  - {alert: A, expr: x, for: " + "9" * 5000 + "s}\n"
    ),
}


@attack("limits", MANY)
def digits_of_a_rule_are_bounded(place: Place, text: Callable[[], str]) -> None:
    from gameday.telemetry.alerts.rules import load_rules

    try:
        load_rules(place.write("r.yml", text()))
    except GamedayError as error:
        assert isinstance(error, UsageError)
    else:
        raise AssertionError("it is taken")
