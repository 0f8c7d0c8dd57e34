"""Where an attack happens: a folder of its own, a home of its own, and the command line in it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ENDS_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that came to its end; `out` and `err` are what it printed, byte for byte."""

    code: int
    out: bytes
    err: bytes

    @property
    def said(self) -> str:
        """Everything it printed, readable."""
        return (self.out + self.err).decode("utf-8", "backslashreplace")

    def is_refused(self, *words: str) -> None:
        """Assert that it was refused as bad input, with all of these words in the error."""
        assert self.code == 2, f"exit {self.code}, not 2: {self.said}"
        assert "Traceback" not in self.said, self.said
        for word in words:
            assert word in self.said, f"{word!r} is not said: {self.said}"

    def is_no_bug(self) -> None:
        """Assert that it ended in one of the documented ways, and with no traceback."""
        assert self.code in range(7), f"exit {self.code}: {self.said}"
        assert "Traceback" not in self.said, self.said


@dataclass(frozen=True, slots=True)
class Place:
    """A folder for one attack; commands run in it, with their state and configuration below it."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its commands: nothing of the machine's state is seen or touched."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        own = {
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_CONFIG_HOME": str(home / "config"),
        }
        return {**os.environ, **own}

    def write(self, name: str, content: str | bytes) -> Path:
        """Make a file in the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")
        path.write_bytes(raw)
        return path

    def gameday(
        self,
        *arguments: str | os.PathLike[str],
        within_s: float = ENDS_WITHIN_S,
        environment: Mapping[str, str] | None = None,
        stdin: bytes = b"",
    ) -> Ended:
        """Run a command in the folder and wait for its end. Raises TimeoutExpired: it hangs."""
        done = subprocess.run(
            [sys.executable, "-m", "gameday", *arguments],
            cwd=self.folder,
            env={**self.environment, **(environment or {})},
            input=stdin,
            capture_output=True,
            timeout=within_s,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)
