"""TLS to the system under test: whom to believe, and sessions that are taken up again.

Certificates are verified, against the machine's authorities or a file of one's own, unless the
system file says `insecure`. A handshake is a good deal of work for both sides; a new connection
offers the session of an earlier one, as browsers do, and the server may take it up.
"""

import asyncio
import socket
import ssl

from gameday.core.errors import UsageError
from gameday.spec.tls import Tls

CHECK_S = 5.0  # one handshake; a host that is further away is no system to load


class TlsClient:
    """Wraps sockets to one host."""

    def __init__(self, host: str, believed: Tls) -> None:
        self.context = believed.context()
        self.context.set_alpn_protocols(["http/1.1"])
        self._host = host
        self._session: ssl.SSLSession | None = None

    def wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        """A socket whose handshake is still to be made."""
        return self.context.wrap_socket(
            sock,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
            server_hostname=self._host,
            session=self._session,
        )

    def remember(self, sock: ssl.SSLSocket) -> None:
        """Keep the session of a connection that has had an answer."""
        session = sock.session
        if session is not None and session.has_ticket:
            self._session = session

    async def check(self, address: str, port: int) -> None:
        """Make one handshake, so that a certificate nobody believes is told before the traffic.

        A server that is not there is no matter of trust, and passes. Raises UsageError.
        """
        try:
            async with asyncio.timeout(CHECK_S):
                _, writer = await asyncio.open_connection(
                    address, port, ssl=self.context, server_hostname=self._host
                )
        except ssl.SSLCertVerificationError as error:
            raise UsageError(
                f"the certificate of {self._host!r} is not believed: {error.verify_message}",
                help="name its authority in the system file: tls: {ca: FILE}",
            ) from error
        except (OSError, TimeoutError):
            return
        writer.transport.abort()
