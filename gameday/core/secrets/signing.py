"""The user's key, and signatures with it: who wrote a record, of which run, file and place.

A record that gameday acts on without asking, or that keeps it from acting, must be one that the
same user's gameday wrote on this machine. So each carries an HMAC-SHA256 (RFC 2104) over its run,
its file, its number and its content. The key lies in the user's state folder, for its owner alone,
and never leaves it; who has lost it has unsigned records, and says by hand which run is trusted.

A signature reads `KEY.HMAC`: the name of the key, which betrays nothing of it but tells a record of
another key from one that was altered or copied, and the code itself, both in hexadecimal digits.
"""

import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from gameday.core.errors import StackError

KEY_FILE = "signing.key"
KEY_BYTES = 32  # of HMAC-SHA256: as long as its result
_NAME_DIGITS = 8  # 32 bits: enough to tell a few keys apart
_CURE = "export XDG_STATE_HOME=DIR, a folder of your own that you may write to"


class NoKeyError(StackError):
    """There is no key that records can be signed or checked with; `missing`: nor any file."""

    missing = False


@dataclass(frozen=True, slots=True)
class RecordPosition:
    """The position of a record: the run's directory, the file in it, and the number in the file."""

    run: str
    file: str
    seq: int


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A user's key on one machine; it is never shown."""

    secret: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """The key's public name: a hash that identifies it and does not reveal it."""
        return hashlib.sha256(b"gameday signing key\0" + self.secret).hexdigest()[:_NAME_DIGITS]

    def sign(self, spot: RecordPosition, content: bytes) -> str:
        """The signature of `content` at `spot`."""
        return f"{self.name}.{self._code(spot, content)}"

    def signed(self, spot: RecordPosition, content: bytes, signature: str) -> bool:
        """True if `signature` was made with this key, for that content at that position."""
        return hmac.compare_digest(self.sign(spot, content).encode(), signature.encode())

    def _code(self, spot: RecordPosition, content: bytes) -> str:
        parts = [os.fsencode(spot.run), os.fsencode(spot.file), str(spot.seq).encode(), content]
        # Each with its length before it, so that no two lists of parts are the same bytes.
        message = b"".join(len(part).to_bytes(8) + part for part in parts)
        return hmac.digest(self.secret, message, "sha256").hex()


def key_named(signature: str) -> str:
    """The name of the key that a signature was made with."""
    return signature.partition(".")[0]


def read_key(folder: Path) -> SigningKey:
    """The key in the state folder, which is the user's own (`files.private`). Raises NoKeyError."""
    path = folder / KEY_FILE
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _must_be_own_file(path, os.fstat(handle))
            return SigningKey(_whole(path, os.read(handle, KEY_BYTES + 1)))
        finally:
            os.close(handle)
    except FileNotFoundError as error:
        missing = NoKeyError(f"{path}: there is no key", help="the next run makes one")
        missing.missing = True
        raise missing from error
    except OSError as error:
        raise NoKeyError(f"{path}: the key cannot be read: {error.strerror}", help=_CURE) from error


def read_or_make_key(folder: Path) -> SigningKey:
    """The key in the state folder, made when there is none. Raises NoKeyError."""
    try:
        return read_key(folder)
    except NoKeyError as error:
        if not error.missing:
            raise
    try:
        _make(folder / KEY_FILE)
    except OSError as error:
        raise NoKeyError(
            f"{folder / KEY_FILE}: the key that signs journals cannot be made: {error.strerror}",
            help=f"make room, or {_CURE}",
        ) from error
    return read_key(folder)


def _make(path: Path) -> None:
    """Written whole under another name, then given its own: nobody ever reads half of a key."""
    new = path.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}.new")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)  # whatever the umask says
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(new, path)
        except FileExistsError:
            return  # somebody else was first, and that one counts
        _onto_disk(path.parent)
    finally:
        new.unlink(missing_ok=True)


def _onto_disk(folder: Path) -> None:
    """A name survives a power cut only when its folder is on the disk, too."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _must_be_own_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NoKeyError(f"{path}: the key is no regular file", help=f"rm {path}")
    if found.st_uid != os.geteuid():
        raise NoKeyError(f"{path}: the key belongs to user {found.st_uid}", help=f"rm {path}")
    if found.st_mode & 0o077:
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        raise NoKeyError(
            f"{path}: others may read the key (mode {mode}), and could sign with it",
            help=f"chmod 600 {path} if nobody has; else rm {path}, and old runs count as unsigned",
        )


def _whole(path: Path, secret: bytes) -> bytes:
    if len(secret) != KEY_BYTES:
        raise NoKeyError(
            f"{path}: not a key: {len(secret)} bytes, not {KEY_BYTES}",
            help=f"rm {path}: the next run makes one, and old runs count as unsigned",
        )
    return secret
