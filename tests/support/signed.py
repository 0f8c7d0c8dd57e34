"""Journals that are signed, with a key of the tests, and their healing with the same key."""

from collections.abc import Mapping
from pathlib import Path

from gameday.core.clock import SystemClock
from gameday.core.secrets.signing import KEY_FILE, SigningKey
from gameday.evidence import provenance
from gameday.evidence.journal import Journal
from gameday.injection import heal as healing
from gameday.injection.heal import Healed, Healer

KEY = SigningKey(b"a key of the tests and nobody's.")


def own_key(state_home: Path, key: SigningKey = KEY) -> Path:
    """Make the key that of the user whose `$XDG_STATE_HOME` this is; where it lies."""
    path = state_home / "gameday" / KEY_FILE
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(key.secret)
    path.chmod(0o600)
    return path


def signed(path: Path, key: SigningKey = KEY) -> Journal:
    """A journal, or what was done later, signed from its first line on."""
    book = Journal(path, SystemClock(), "m1")
    book.key = key
    return book


async def heal(
    run_dir: Path, environment: Mapping[str, str] | None = None, key: SigningKey = KEY
) -> list[Healed]:
    """Heal what the key has signed."""
    return await healing.heal(provenance.read(run_dir, key), Healer(environment or {}, key))
