"""Whom a client of the system believes: the `tls` of a system file."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from gameday.core import files
from gameday.core.errors import UsageError
from gameday.spec.yaml import Model

if TYPE_CHECKING:
    import ssl


class Tls(Model):
    """Whom to believe where an address asks for TLS; default: the machine's authorities."""

    ca: str | None = Field(
        default=None, description="A PEM file of authorities; path from here", examples=["ca.pem"]
    )
    insecure: bool = Field(default=False, description="Believe anybody: for a test system only")

    @model_validator(mode="after")
    def _one_of_them(self) -> "Tls":
        if self.insecure and self.ca is not None:
            raise ValueError("write `ca` or `insecure`, not both")
        return self

    def context(self) -> "ssl.SSLContext":
        """The TLS context of a client of the system. Raises UsageError for a file that is none."""
        import ssl  # where there is TLS: whoever only reads a system file needs none of it

        if self.ca is not None:
            files.read(Path(self.ca), files.SETTING_BYTES, "tls.ca:")
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except ssl.SSLError as error:
            why = f"tls.ca: {self.ca!r} holds no certificate: {error.reason}"
            raise UsageError(why, help="name a PEM file") from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def needed_for(self, *urls: str) -> "ssl.SSLContext | bool":
        """A client's `verify` for these: nothing is loaded without TLS, for it takes a while.

        Raises UsageError as `context` does.
        """
        return self.context() if any(url.startswith("https:") for url in urls) else False
