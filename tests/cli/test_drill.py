"""`gameday drill` from the command line: what is asked, refused and said before a drill begins."""

import subprocess
import sys

CONSOLE_SCRIPT = "import sys; from gameday.cli import main; sys.exit(main())"
"""What an installed `gameday` is: `python -m gameday` loads more before it comes to the command."""


def test_the_installed_command_knows_its_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONSOLE_SCRIPT, "drill", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for command in ("live", "abort", "score", "baselines", "forget"):
        assert f"\n  {command} " in done.stdout, command
