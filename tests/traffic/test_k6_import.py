"""k6 scripts become experiment files: a corpus, and what no script may do to us."""

import time
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from gameday.cli import main
from gameday.core.errors import FileError
from gameday.spec.experiment import ConstantArrivalRate, Experiment, RampingArrivalRate
from gameday.spec.yaml import compose
from gameday.traffic.k6.import_script import import_script
from gameday.traffic.k6.script import LONGEST_S
from gameday.traffic.k6.source import line_of, rewrite
from gameday.traffic.schedule.scenario_json import from_model

SCRIPTS = sorted((Path(__file__).parent / "k6_scripts").glob("*.js"))


def imported(tmp_path: Path, text: str, **env: str) -> str:
    path = tmp_path / "script.js"
    path.write_text(text)
    return import_script(path, "script", env).yaml


def parsed(yaml: str) -> Experiment:
    return compose(yaml, "made").parse(Experiment)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_each_script_of_the_corpus_becomes_the_file_beside_it(script: Path) -> None:
    assert import_script(script, script.stem, {}).yaml == script.with_suffix(".yaml").read_text()


def test_what_was_imported_is_valid() -> None:
    files = [str(script.with_suffix(".yaml")) for script in SCRIPTS]
    done = CliRunner().invoke(main, ["validate", *files])
    assert done.exit_code == 0, done.output


def test_the_script_that_misled_keeps_its_sleep_and_its_few_virtual_users() -> None:
    script = Path(__file__).parent / "k6_scripts" / "seed.js"
    traffic = parsed(import_script(script, "seed", {}).yaml).traffic
    starts = {name: from_model(spec).count for name, spec in traffic.items()}
    assert starts == {"normal": 1500, "peak": 165_450, "stress": 81_750}
    for spec, vus in zip(traffic.values(), (10, 50, 50), strict=True):
        assert isinstance(spec, ConstantArrivalRate | RampingArrivalRate)
        assert spec.sleep == timedelta(seconds=1)
        assert spec.preAllocatedVUs == vus


def test_a_variable_of_the_environment_is_handed_over(tmp_path: Path) -> None:
    text = "export const options = { vus: Number(__ENV.N), duration: '9s' };"
    assert "vus: 7" in imported(tmp_path, text, N="7")


RATE = "executor: 'constant-arrival-rate', duration: '9s', preAllocatedVUs: 1"
OPTIONS = "export const options = { vus: 1, duration: '5s' };"
BAD = {
    "a loop without an end": (
        "while (true) {}\n" + OPTIONS,
        "did not end within 2 s|stopped after",
    ),
    "memory without an end": (
        "const a = []; for (;;) a.push(new Uint8Array(1 << 20));",
        "more than 64 MB",
    ),
    "calls without an end": ("(function f() { f() + 1; })();", "call stack"),
    "a promise without an end": (
        OPTIONS + "const f = () => Promise.resolve().then(f); await f();",
        "for ever anew",
    ),
    "files": ("require('fs').readFileSync('/etc/passwd');", r"require\('fs'\) is refused"),
    "a file beside it": ("const m = await import('./other.js');", "could not load module"),
    "a re-export": ("export * from './other.js';", "'./other.js' is not followed"),
    "the process around it": (
        "(() => {}).constructor('return globalThis')().process.exit(1);",
        "'exit' of undefined",
    ),
    "waiting for nobody": (
        "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);",
        "cannot block",
    ),
    "every object's prototype": (
        "Object.prototype.toJSON = () => 5;\n" + OPTIONS,
        "broke what was around it|spoiled its own account|no object",
    ),
    "the account of itself": (
        "globalThis.__gameday.options = () => '{\"functions\": 7}';",
        "broke what was around it|spoiled its own account",
    ),
    "huge options": ("export const options = { a: 'x'.repeat(2e6) };", "more than 1048576 bytes"),
    "no options": ("export default function () {}", "exports no `options`"),
    "options that are no object": ("export const options = 5;", "are no object"),
    "nothing at all": ("", "exports no `options`"),
    "data that is not read": (
        "const n = JSON.parse(open('./n.json')); export const options = { vus: n };",
        "the file ./n.json is not read",
    ),
    "only iterations": ("export const options = { iterations: 5 };", "no executor"),
    "a negative rate": (
        f"export const options = {{ scenarios: {{ a: {{ {RATE}, rate: -5 }} }} }};",
        "-5 is a negative rate",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_script_cannot_do_harm_or_take_for_ever(tmp_path: Path, name: str) -> None:
    text, told = BAD[name]
    before = time.monotonic()
    with pytest.raises(FileError, match=told) as caught:
        imported(tmp_path, text)
    assert time.monotonic() - before < LONGEST_S + 5
    assert caught.value.exit_code == 2
    assert caught.value.place.file.endswith("script.js")


ASKS = """
import http from 'k6/http';
import { sleep } from 'k6';
const steady = { executor: 'constant-vus', vus: 1, duration: '5s' };
export const options = { scenarios: { a: { ...steady, ENV } } };
export default function () { CODE }
"""
VALUES = {
    "a deep body": ("http.post('http://a/', '['.repeat(1e5) + ']'.repeat(1e5));", "is no JSON"),
    "a long sleep": ("http.get('http://a/'); sleep(1e300);", "1e+300 s is left out"),
    "an endless sleep": ("http.get('http://a/'); sleep(1e308); sleep(1e308);", "is left out"),
    "a chance of a long sleep": (
        "http.get('http://a/'); sleep(Math.random() * 1e300);",
        "is left out",
    ),
    "long numbers": (
        "http.get('http://a/' + (Math.random() < 0.3 ? '2' : '7').repeat(5000));",
        "is {key} here",
    ),
    "digits and a letter": (
        "http.get('http://a/' + '1'.repeat(2e5) + 'x' + Math.random());",
        "is {key} here",
    ),
    "marks without an end": ("http.get('http://a/' + '\\ue000'.repeat(2e5));", ""),
    "a line of many digits": (
        "http.get('http://a/'); throw new Error('<input>:' + '9'.repeat(5000));",
        "ends with Error",
    ),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_of_a_script_are_believed_within_bounds(tmp_path: Path, name: str) -> None:
    code, told = VALUES[name]
    text = ASKS.replace("CODE", code).replace("ENV", "")
    begun = time.process_time()
    yaml = imported(tmp_path, text)
    assert time.process_time() - begun < 5
    assert told in yaml


@pytest.mark.parametrize("value", ["'['.repeat(1e5)", "'1'.repeat(5000)", "5"])
def test_what_gameday_never_wrote_into_a_script_is_refused(tmp_path: Path, value: str) -> None:
    text = ASKS.replace("ENV", f"env: {{ GAMEDAY: {value} }}").replace("CODE", "")
    with pytest.raises(FileError, match="is not what gameday wrote"):
        imported(tmp_path, text)


UNENDED = [
    *("/* ", "(/[", "(/[(", "(/[(/]", "[(/]", '"\\', "import a ", "import * as a ", "export * "),
    *("import , ", "import {) ", "import 'a' with {)", "import 'a'\n"),
]


@pytest.mark.parametrize("unit", UNENDED)
def test_what_is_opened_again_and_again_costs_little(unit: str) -> None:
    begun = time.process_time()
    for before in ("", "(/"):
        rewrite(before + unit * (200_000 // len(unit)), "script.js")
    assert time.process_time() - begun < 10


def test_a_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    text = "import http from 'k6/http';\n\nconst a = undefined;\na.b.c;\n" + OPTIONS
    with pytest.raises(FileError, match=r"script.js:4:1: .*'b' of undefined"):
        imported(tmp_path, text)


def test_a_limit_that_contradicts_another_is_told_with_its_line(tmp_path: Path) -> None:
    text = (
        "export const options = { scenarios: { a: { executor: 'constant-arrival-rate',\n"
        "  rate: 5, duration: '10s',\n  preAllocatedVUs: 10,\n  maxVUs: 5 } } };"
    )
    with pytest.raises(FileError, match=r"script.js:4:1: scenario 'a': 'maxVUs': 5 is less"):
        imported(tmp_path, text)


def test_a_function_without_an_end_leaves_the_options_usable(tmp_path: Path) -> None:
    yaml = imported(tmp_path, OPTIONS + "\nexport default function () { for (;;) {} }")
    assert "line 2: the function 'default' does not end within 0.5 s" in yaml
    assert parsed(yaml).traffic


def test_what_a_script_says_never_becomes_yaml_of_its_own(tmp_path: Path) -> None:
    text = (
        "export const options = { scenarios: { 'a: {b}\\n# c': { executor: 'constant-vus', "
        "vus: 1, duration: '5s' } }, thresholds: { 'http_reqs\\nname: x': ['count>1'] } };\n"
        "export default function () { fail_here('\\nname: evil'); }"
    )
    made = parsed(imported(tmp_path, text))
    assert (made.name, list(made.traffic)) == ("script", ["a-b-c"])
    assert not made.expect.thresholds


def test_imports_are_replaced_line_for_line() -> None:
    text = (
        "import a, {\n  b as c, // from 'x'\n  d,\n} from 'k6';\nconst e = `import ${a} from 'y'`;"
    )
    made = rewrite(text, "s.js")
    assert made.count("\n") == text.count("\n")
    assert "import" not in made.split("const e")[0]
    assert made.endswith("const e = `import ${a} from 'y'`;")


def test_a_key_is_found_after_the_one_before() -> None:
    text = "const rate = 1;\nexport const options = {\n  a: { rate: 5 },\n  b: { 'rate': 7 },\n};"
    assert line_of(text, "options", "b", "rate") == 4


def test_on_the_command_line_a_file_is_written_and_the_notes_are_told(tmp_path: Path) -> None:
    script = tmp_path / "Coupon Drop.js"
    script.write_text(OPTIONS + "\nexport default function () { sleep(1); }")
    out = tmp_path / "drop.yaml"
    done = CliRunner().invoke(main, ["traffic", "import", str(script), "-o", str(out)])
    assert done.exit_code == 0
    assert "note: Coupon Drop.js: line 2: the function 'default' ends with" in done.stderr
    assert parsed(out.read_text()).name == "drop"


def test_a_script_that_is_not_there_is_bad_usage(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["traffic", "import", str(tmp_path / "none.js")])
    assert (done.exit_code, "no script" in done.stderr) == (2, True)
