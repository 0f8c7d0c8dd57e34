"""A server that a system file names by its address, or by its address and how it knows us.

`prometheus: http://127.0.0.1:9090` is enough where nobody has to log in. Where somebody has:

    prometheus: {url: "https://prometheus.example", bearer: {env: PROMETHEUS_TOKEN}}
    prometheus: {url: "https://prometheus.example", user: gameday, password: {file: password}}
"""

from typing import Annotated

from pydantic import Discriminator, Field, Tag, model_validator

from gameday.spec.model import Model
from gameday.spec.request import Secret


class Server(Model):
    """An address, and the bearer token, or the user and password, that it asks for."""

    url: str = Field(
        description="Its address, with the prefix before /api where there is one",
        examples=["https://prometheus.example"],
    )
    bearer: Secret | None = Field(default=None, description="The token it asks for")
    user: str | None = Field(
        default=None, description="The user name, for basic authentication", examples=["gameday"]
    )
    password: Secret | None = Field(default=None, description="The password of `user`")

    @model_validator(mode="after")
    def _one_way(self) -> "Server":
        if (self.user is None) != (self.password is None):
            raise ValueError("write `user` and `password`, or neither")
        if self.bearer is not None and self.user is not None:
            raise ValueError("write `bearer`, or `user` and `password`, not both")
        return self


def _form(value: object) -> str:
    """Tag of the form in which a server is written: text or a mapping."""
    return "text" if isinstance(value, str) else "mapping"


ServerOrAddress = Annotated[
    Annotated[str, Tag("text")] | Annotated[Server, Tag("mapping")], Discriminator(_form)
]


def server(written: ServerOrAddress | None) -> Server | None:
    """The server, however it is written."""
    return Server(url=written) if isinstance(written, str) else written
