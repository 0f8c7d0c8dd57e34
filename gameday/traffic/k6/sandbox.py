"""The process that runs a stranger's script: a JavaScript engine, and nothing else within reach.

`python -m gameday.traffic.k6.sandbox` takes the script as JSON on stdin and answers with JSON on
stdout. The engine knows no files, no network and no processes; should it have a hole, the
process around it has given up the right to open a file or a socket, and its memory and processor
time are limited. `script` starts it, waits no longer than it must, and believes nothing it says.
"""

import json
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

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


class _Script:
    """One script in its engine."""

    def __init__(self, stubs: str, env: dict[str, str]) -> None:
        self._engine = _quickjs.Context()
        self._engine.set_memory_limit(MEMORY_BYTES)
        self._engine.set_max_stack_size(STACK_BYTES)
        self._engine.set("__given", json.dumps(env))
        self._gameday = self._engine.eval(stubs)
        self._engine.set("__gameday", self._gameday)

    def load(self, text: str) -> dict[str, Any]:
        """Run the module itself, and say what it exports."""
        self._engine.set_time_limit(LOAD_S)
        self._engine.module("\n" * LINES_ABOVE + text)
        self._call("import('<input>').then(__gameday.loaded, __gameday.failed)")
        return self._evaluate("__gameday.options()")

    def iteration(self, function: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Run one function once."""
        self._engine.set_time_limit(ITERATION_S)
        arguments = f"{json.dumps(function)}, {json.dumps(json.dumps(inputs))}"
        over = self._call(f"__gameday.begin({arguments})")
        told = self._evaluate("__gameday.end()")
        if not over and told["problem"] is None:
            told["problem"] = {"name": "", "message": "interrupted", "line": 0}
        return told

    def _call(self, code: str) -> bool:
        """Run it, and what it left to be done later; False when that goes on and on."""
        self._engine.eval(code)
        return any(not self._engine.execute_pending_job() for _ in range(MOST_JOBS))

    def _evaluate(self, code: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self._engine.eval(code))
        return told


def _iterations(script: _Script, functions: list[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for function in functions[:MOST_FUNCTIONS]:
        found[function] = {}
        for cause, inputs in INPUTS.items():
            try:
                found[function][cause] = script.iteration(function, inputs)
            except _quickjs.JSException as error:
                found[function][cause] = {"calls": [], "problem": _problem(error)}
                break
    return found


def _problem(error: Exception) -> dict[str, Any]:
    return {"name": "", "message": str(error)[:2000], "line": 0}


def _examine(job: dict[str, Any], stubs: str) -> dict[str, Any]:
    try:
        script = _Script(stubs, job["env"])
        told = script.load(job["text"])
        if told.get("problem"):
            return {"problem": told["problem"]}
        names = [name for name in told["functions"] if name not in ASIDE]
        return told | {"iterations": _iterations(script, names)}
    except _quickjs.JSException as error:
        return {"problem": _problem(error)}
    except BROKEN as error:
        problem = f"the script broke what was around it: {error}"
        return {"problem": {"name": "", "message": problem, "line": 0}}


def main() -> int:
    """Answer once; the exit code."""
    stubs = Path(__file__).with_name("stubs.js").read_text()
    job = json.loads(sys.stdin.buffer.read())
    _give_up_rights()
    answer = json.dumps(_examine(job, stubs)).encode()
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
