"""The certificate of a console that listens to others: given, or one that it signs itself.

A certificate of its own is kept in the state folder, so that its fingerprint is the same from
session to session: whoever has compared it once is warned when it is another.
"""

import hashlib
import ipaddress
import os
import ssl
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gameday.core import files
from gameday.core.clock import utc_now
from gameday.core.errors import StackError, UsageError
from gameday.core.files.private import only_for_us, state_dir

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, GeneralName

DAYS: Final = 365
LEFT: Final = timedelta(days=30)  # a certificate that ends sooner is made anew
NAME: Final = "console-{}.pem"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """A certificate and its key; `fingerprint` is the SHA-256 of the certificate."""

    cert: Path
    key: Path
    fingerprint: str


def given(cert: Path, key: Path) -> TlsFiles:
    """The files that a person names. Raises UsageError for a pair that nobody can use."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
        pem = files.read_bytes(cert, files.SETTING_BYTES).decode("ascii")
        return TlsFiles(cert, key, fingerprint(ssl.PEM_cert_to_DER_cert(_first(pem))))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--tls-cert {cert}, --tls-key {key}: {error}", help="PEM, the key without a password"
        ) from error


def of_our_own(hosts: Collection[str]) -> TlsFiles:
    """One for these hosts: that of the last session, or a new one. Raises StackError."""
    name = hashlib.sha256(" ".join(sorted(hosts)).encode()).hexdigest()[:16]
    path = state_dir() / NAME.format(name)
    try:
        if not _lasts(path):
            with only_for_us():
                files.replace(path, _signed(sorted(hosts)))
        pem = files.read_bytes(path, files.SETTING_BYTES).decode("ascii")
    except (OSError, ValueError) as error:
        raise StackError(f"{path}: cannot be made: {error}", help=f"rm {path}") from error
    os.chmod(path, 0o600)
    return TlsFiles(path, path, fingerprint(ssl.PEM_cert_to_DER_cert(_first(pem))))


def fingerprint(der: bytes) -> str:
    """SHA-256 as browsers show it."""
    text = hashlib.sha256(der).hexdigest().upper()
    return ":".join(text[at : at + 2] for at in range(0, len(text), 2))


def _first(pem: str) -> str:
    """The certificate itself, which stands before those that vouch for it."""
    begin = pem.index("-----BEGIN CERTIFICATE-----")
    mark = "-----END CERTIFICATE-----"
    return pem[begin : pem.index(mark, begin) + len(mark)]


def _lasts(path: Path) -> bool:
    from cryptography import x509

    try:
        raw = files.read_bytes(path, files.SETTING_BYTES)
        return x509.load_pem_x509_certificate(raw).not_valid_after_utc - utc_now() > LEFT
    except (OSError, ValueError):
        return False


def _signed(hosts: Sequence[str]) -> list[bytes]:
    """A new certificate, and its key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    cert = _certificate(key, hosts)
    return [
        cert.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    ]


def _certificate(key: "EllipticCurvePrivateKey", hosts: Sequence[str]) -> "Certificate":
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gameday console")])
    now = utc_now()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(list(map(_name, hosts))), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _name(host: str) -> "GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
