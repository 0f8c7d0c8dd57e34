"""The process that runs a stranger's script: a JavaScript engine, and nothing else within reach.

`python -m gameday.traffic.k6.sandbox` takes the script as JSON on stdin and answers with JSON on
stdout. The engine knows no files, no network and no processes; should it have a hole, the
process around it has given up the right to open a file or a socket, and its memory and processor
time are limited. `script` starts it, waits no longer than it must, and believes nothing it says.
"""

import json
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import _quickjs

MEMORY_BYTES: Final = 64 * 1024 * 1024  # a script is somebody else's: QuickJS stops at it
PROCESS_BYTES: Final = 512 * 1024 * 1024  # as above, by the kernel, with the interpreter's own
STACK_BYTES: Final = 512 * 1024  # QuickJS stops there, long before the thread's own 8 MiB end
LOAD_S: Final = 2.0  # a module loads in ms; this leaves room for a loaded machine
ITERATION_S: Final = 0.5  # one iteration asks nothing real and takes ms
CPU_S: Final = 12  # above all iterations together: 16 functions, each run several times
MOST_JOBS: Final = 10_000  # promises that make promises without end
MOST_FUNCTIONS: Final = 16  # scripts have a few scenarios; bounds the time in all
BROKEN: Final = (*(ValueError, TypeError, KeyError, AttributeError), *(MemoryError, RecursionError))
ASIDE: Final = ("setup", "teardown", "handleSummary")
"""Functions that k6 calls once, before or after the iterations."""
LINES_ABOVE: Final = 10_000  # the same number stands in stubs.js

# One thing is changed at a time, so that a change in what is sent has one cause.
INPUTS: Final = {
    "base": {"random": 0.0, "vu": 1, "iter": 0, "time": 1_700_000_000_000},
    "random": {"random": 1 - 2**-53, "vu": 1, "iter": 0, "time": 1_700_000_000_000},
    "vu": {"random": 0.0, "vu": 8, "iter": 0, "time": 1_700_000_000_000},
    "iter": {"random": 0.0, "vu": 1, "iter": 7, "time": 1_700_000_000_000},
    "time": {"random": 0.0, "vu": 1, "iter": 0, "time": 1_700_000_012_345},
}


def _give_up_rights() -> None:
    """No new file or socket, no byte into a file, and limits of time and memory."""
    limits = (
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_AS, PROCESS_BYTES),
    )
    for which, most in limits:
        with suppress(ValueError, OSError):  # macOS knows no limit of addresses
            resource.setrlimit(which, (most, most))


@dataclass(slots=True)
class _Loaded:
    """What a script exports."""

    options: object
    functions: list[str]
    problem: object
    facts: object


@dataclass(slots=True)
class _Ended:
    """What one run of a function did."""

    calls: object
    problem: object


class _Script:
    """One script in its engine."""

    def __init__(self, stubs: str, env: Mapping[str, str]) -> None:
        self._engine = _quickjs.Context()
        self._engine.set_memory_limit(MEMORY_BYTES)
        self._engine.set_max_stack_size(STACK_BYTES)
        self._engine.set("__given", json.dumps(env))
        self._gameday = self._engine.eval(stubs)
        self._engine.set("__gameday", self._gameday)

    def load(self, text: str) -> _Loaded:
        """Run the module itself, and say what it exports."""
        self._engine.set_time_limit(LOAD_S)
        self._engine.module("\n" * LINES_ABOVE + text)
        self._call("import('<input>').then(__gameday.loaded, __gameday.failed)")
        return _Loaded(**json.loads(self._engine.eval("__gameday.options()")))

    def iteration(self, function: str, inputs: Mapping[str, float]) -> object:
        """Run one function once."""
        self._engine.set_time_limit(ITERATION_S)
        arguments = f"{json.dumps(function)}, {json.dumps(json.dumps(inputs))}"
        over = self._call(f"__gameday.begin({arguments})")
        ended = _Ended(**json.loads(self._engine.eval("__gameday.end()")))
        if not over and ended.problem is None:
            ended.problem = _problem("interrupted")
        return asdict(ended)

    def _call(self, code: str) -> bool:
        """Run it, and what it left to be done later; False when that goes on and on."""
        self._engine.eval(code)
        return any(not self._engine.execute_pending_job() for _ in range(MOST_JOBS))


def _runs(script: _Script, function: str) -> Iterator[tuple[str, object]]:
    """The function run with each of the inputs, up to the first that ends the engine."""
    for cause, inputs in INPUTS.items():
        try:
            yield cause, script.iteration(function, inputs)
        except _quickjs.JSException as error:
            yield cause, asdict(_Ended([], _problem(str(error)[:2000])))
            return


def _problem(message: str) -> object:
    return {"name": "", "message": message, "line": 0}


def _examine(text: str, env: Mapping[str, str], stubs: str) -> object:
    try:
        script = _Script(stubs, env)
        told = script.load(text)
        if told.problem:
            return {"problem": told.problem}
        names = [name for name in told.functions if name not in ASIDE][:MOST_FUNCTIONS]
        runs = {name: dict(_runs(script, name)) for name in names}
        return {**asdict(told), "iterations": runs}
    except _quickjs.JSException as error:
        return {"problem": _problem(str(error)[:2000])}
    except BROKEN as error:
        return {"problem": _problem(f"the script broke what was around it: {error}")}


def main() -> int:
    """Answer once; the exit code."""
    stubs = Path(__file__).with_name("stubs.js").read_text()
    job = json.loads(sys.stdin.buffer.read())
    _give_up_rights()
    answer = json.dumps(_examine(job["text"], job["env"], stubs)).encode()
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
