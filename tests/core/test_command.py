"""Commands of somebody's own: whatever they do, they end, and so does all that they started."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from gameday.core.processes.command import (
    CommandEnd,
    CommandError,
    CommandLine,
    run_command,
)
from tests.support.sut_stores import wait_until


def line(code: str, **how: Any) -> CommandLine:
    return CommandLine(argv=[sys.executable, "-c", code], **how)


async def test_what_a_command_prints_comes_back_with_its_status_and_its_errors() -> None:
    code = "import sys; print('out'); print('oh', file=sys.stderr); sys.exit(3)"
    done = await run_command(line(code))
    assert (done.status, done.output, done.errors) == (3, b"out\n", "oh\n")
    with pytest.raises(CommandError, match="ended with status 3: oh"):
        done.must_be_well(line(code))


async def test_it_runs_in_its_folder_reads_nothing_and_gets_its_secret_by_the_environment(
    tmp_path: Path,
) -> None:
    (tmp_path / "tool.sh").write_text('#!/bin/sh\npwd; cat; echo "$TOKEN"\n')
    (tmp_path / "tool.sh").chmod(0o755)
    tool = CommandLine(argv=["./tool.sh"], folder=tmp_path, environment={"TOKEN": "s3cret"})
    done = await run_command(tool)
    assert done.output.decode().split() == [str(tmp_path.resolve()), "s3cret"]
    assert "s3cret" not in str(tool)


@pytest.mark.parametrize("own_group", [False, True])
@pytest.mark.parametrize(
    ("ends", "late"),
    [
        ("import time; time.sleep(600)", "did not end within 2 s"),
        ("pass", "what it has started did not within 2 s"),
    ],
)
async def test_what_it_has_started_ends_with_it(
    tmp_path: Path, ends: str, late: str, own_group: bool
) -> None:
    told = tmp_path / "pid"
    group = ", process_group=0" if own_group else ""
    code = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time;"
        f" time.sleep(600)']{group}); open({str(told)!r}, 'w').write(str(p.pid)); " + ends
    )
    with pytest.raises(CommandError, match=late):
        await run_command(line(code, within_s=2.0))
    pid = int(told.read_text())
    wait_until(lambda: not _runs(pid), 10.0, "the child of the command has ended")


async def test_what_it_has_started_ends_with_whoever_waits_for_it(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    code = f"timeout 600 sh -c 'echo $$ > {told}.part; mv {told}.part {told}; exec sleep 600'"
    waiting = asyncio.create_task(run_command(CommandLine(argv=["sh", "-c", code])))
    await asyncio.to_thread(wait_until, told.exists, 10.0, "the child has begun")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not _runs(int(told.read_text()))


async def test_what_it_has_left_at_work_may_still_print() -> None:
    code = "echo user,id; seq 1 30000 | sed 's/.*/u&,c&/' > >(sort)"
    done = await run_command(CommandLine(argv=["bash", "-c", code]))
    assert done.status == 0
    assert done.output.count(b"\n") == 30_001


async def test_an_output_that_is_held_open_elsewhere_is_not_taken_for_a_whole_one(
    tmp_path: Path,
) -> None:
    code = f"echo 1; setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 600' & sleep 0.2"
    try:
        with pytest.raises(CommandError, match="may be half of it"):
            await run_command(CommandLine(argv=["sh", "-c", code], within_s=2.0))
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


async def test_a_command_that_closes_its_output_is_still_waited_for() -> None:
    code = "import os, time; os.close(1); os.close(2); time.sleep(0.3); os._exit(7)"
    assert (await run_command(line(code))).status == 7


async def test_one_that_prints_without_end_is_ended() -> None:
    code = "import sys\nwhile True: sys.stdout.write('x' * 65536)"
    with pytest.raises(CommandError, match="printed more than 1 MiB"):
        await run_command(line(code, most_bytes=2**20))


async def test_of_its_errors_only_the_end_is_kept() -> None:
    code = "import sys; sys.stderr.write('x' * 10_000_000 + 'the cause'); sys.exit(1)"
    done = await run_command(line(code))
    assert len(done.errors) <= 64 * 1024
    with pytest.raises(CommandError, match="the cause$"):
        done.must_be_well(line(code))


async def test_what_takes_its_output_may_end_it() -> None:
    def take(piece: bytes) -> None:
        raise CommandError(f"enough: {len(piece)}")

    code = "import time; print('x', flush=True); time.sleep(600)"
    with pytest.raises(CommandError, match="enough"):
        await run_command(line(code), take)


@pytest.mark.parametrize("argv", [["no-such-program-here"], ["./no-such"], [os.devnull]])
async def test_a_program_that_is_none_is_told(argv: list[str]) -> None:
    with pytest.raises(CommandError, match="no such program"):
        await run_command(CommandLine(argv=argv))


def test_a_secret_in_what_it_said_is_hidden_before_it_is_cut() -> None:
    said = "x" * 490 + "hunter2hunter2"
    with pytest.raises(CommandError) as caught:
        CommandEnd(1, b"", said).must_be_well(
            line("pass"), lambda text: text.replace("hunter2hunter2", "***")
        )
    assert "hunter2" not in caught.value.message
