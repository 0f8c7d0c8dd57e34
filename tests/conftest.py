"""Fixtures that more than one test file needs, and the ground that all of them stand on."""

import os
import signal

import hypothesis
import pytest

# Under `nohup … &` both are ignored, by every process that a test starts, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# What the command says is tested in English, also on a machine whose locale is Korean.
os.environ["GAMEDAY_LANG"] = "en"

# Hypothesis fails an example that takes 200 ms, which on a busy machine any of them may.
hypothesis.settings.register_profile("gameday", deadline=None)
hypothesis.settings.load_profile("gameday")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
