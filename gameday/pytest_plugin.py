"""A plugin of pytest: experiments as test items, and runs within tests.

    pytest --gameday redis-slow,db-slow            # each is an item, beside the other tests
    pytest --gameday redis-slow -m gameday         # nothing else

    def test_it_survives(gameday_run):
        result = gameday_run("redis-slow", "--short")    # a `gameday.judge.result.Result`
        assert result.verdict == "passed"

An experiment passes when its verdict is `passed`; `unknown` fails, because it is no statement.
Each run is a process of its own, `gameday run --json`, and there is one at a time on this machine,
however many workers of xdist there are: two would disturb each other's traffic. Every pytest of a
project that has gameday installed imports this module, so it imports nothing of gameday until it
is used.
"""

import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from gameday.judge.result import Result

MARKER: Final = "gameday"
TIMEOUT_PLUGIN: Final = "timeout"
END_S: Final = 180.0  # for a run that is ended early to take its faults out
SHOWN_LINES: Final = 40  # of what a run said that failed
MOST_CHECKS: Final = 20

GamedayRun = Callable[..., "Result"]


class ExperimentFailedError(Exception):
    """An experiment that did not pass; the text says why, for whoever reads the test report."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("gameday", "experiments of gameday")
    group.addoption(
        "--gameday",
        action="append",
        default=[],
        metavar="NAMES",
        help="Run these experiments (names or files, with commas) as tests of their own.",
    )
    group.addoption(
        "--gameday-options",
        default="",
        metavar="TEXT",
        help="Options of `gameday run` for all of them, as '--short --runs evidence'.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, for those who are strict about them."""
    config.addinivalue_line("markers", f"{MARKER}: an experiment of gameday, named by --gameday")


@pytest.hookimpl(tryfirst=True)  # so that -k and -m choose among them, too
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add an item for each experiment that was asked for."""
    asked = [name.strip() for text in config.getoption("--gameday") for name in text.split(",")]
    names = list(dict.fromkeys(filter(None, asked)))
    if not names:
        return
    parent = ExperimentCollector.from_parent(session, name=MARKER, nodeid=MARKER)
    items += [ExperimentTest.from_parent(parent, name=name) for name in names]


class ExperimentCollector(pytest.Collector):
    """The parent of the items; what they are was said on the command line."""

    def collect(self) -> Sequence[pytest.Item]:
        return ()


class ExperimentTest(pytest.Item):
    """One experiment."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_marker(pytest.mark.gameday)
        self.add_marker(pytest.mark.xdist_group(MARKER))
        if self.config.pluginmanager.hasplugin(TIMEOUT_PLUGIN):
            self.add_marker(pytest.mark.timeout(0))  # a run bounds itself, and takes minutes

    def runtest(self) -> None:
        result = run_experiment(self.config, self.name)
        self.user_properties += [("gameday_run", result.run), ("verdict", result.verdict)]
        must_pass(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, ExperimentFailedError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, None, str]:
        return self.name, None, f"experiment {self.name}"


@pytest.fixture
def gameday_run(request: pytest.FixtureRequest) -> GamedayRun:
    """A function that runs an experiment and returns its typed result, whatever the verdict.

    `gameday_run("redis-slow", "--short", "--seed", "7")`: a name or a file, then options of
    `gameday run`. A test fails where there is no verdict: a bad file, a stack that does not start.
    """
    config = request.config

    def run(experiment: str, *options: str) -> "Result":
        try:
            return run_experiment(config, experiment, *options)
        except ExperimentFailedError as error:
            pytest.fail(str(error), pytrace=False)

    return run


def must_pass(result: "Result") -> None:
    """Raise ExperimentFailedError for every verdict but `passed`."""
    if result.verdict == "passed" and result.exit_code == 0:
        return
    how = f"ended: {result.ended}, exit code {result.exit_code}"
    lines = [
        f"{result.experiment}: {result.verdict} ({how})",
        *(
            f"  {each.verdict:8}{each.name}: {each.summary}"
            for each in result.checks
            if each.verdict != "valid"
        ),
        *(f"  missing {each.part}: {each.why}" for each in result.missing),
    ]
    if len(lines) > MOST_CHECKS:
        lines[MOST_CHECKS:] = [f"  … {len(lines) - MOST_CHECKS} more"]
    raise ExperimentFailedError("\n".join([*lines, f"gameday report {result.run}"]))


def run_experiment(config: pytest.Config, experiment: str, *options: str) -> "Result":
    """Run it in a process of its own, and read what it says.

    Raises ExperimentFailedError where it says nothing that can be read.
    """
    from gameday.core.errors import ExitCode
    from gameday.judge.result import Result

    general = shlex.split(config.getoption("--gameday-options"))
    words = [*general, *options, "--json", "--", experiment]
    live = config.getoption("capture") == "no"
    with one_at_a_time(), tempfile.TemporaryFile() as said:
        code, out = _process(words, None if live else said)
        said.seek(0)
        text = said.read().decode("utf-8", "replace")
    try:
        return Result.from_bytes(out)
    except ValueError:
        known = [each.meaning for each in ExitCode if each == code]
        meaning = known[0] if known else "no exit code of gameday"
        tail = text.splitlines()[-SHOWN_LINES:]
        head = f"{experiment}: no verdict, exit code {code} ({meaning})"
        raise ExperimentFailedError("\n".join([head, *tail])) from None


def _process(words: Sequence[str], said: IO[bytes] | None) -> tuple[int, bytes]:
    """Exit code and standard output of `gameday run`; whatever ends this, ends the run in order."""
    command = [sys.executable, "-m", "gameday", "run", *words]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said)
    try:
        out, _ = child.communicate()
    except BaseException:
        child.send_signal(signal.SIGTERM)  # faults come out; a Ctrl-C it has heard itself
        child.communicate(timeout=END_S)
        raise
    return child.returncode, out


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until no other run of a pytest is under way on this machine."""
    import fcntl

    from gameday.core.files.private import state_dir

    with (state_dir() / "pytest.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
