"""`--webhook-listen ADDR:PORT`: where an Alertmanager of somebody else's posts its notifications.

The token that it must show lasts from run to run, in the state folder, so that the block that
`gameday plan` prints is pasted once.
"""

import os
import secrets
from pathlib import Path
from typing import Final

from gameday.core import files
from gameday.core.errors import StackError, UsageError
from gameday.core.files.private import state_dir
from gameday.core.network.listen import Listen

TOKEN_FILE: Final = "webhook-token"


def token_file() -> Path:
    """The file of the token, made where there is none. Raises StackError."""
    path = state_dir() / TOKEN_FILE
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return path
    except OSError as error:
        raise StackError(f"{path}: cannot be made: {error.strerror}", help=files.HELP) from error
    with open(handle, "w") as file:
        file.write(secrets.token_hex(32))
    return path


def token() -> str:
    """The token that Alertmanager shows. Raises UsageError where it cannot be read."""
    path = token_file()
    text = files.read(path, files.SECRET_BYTES, "the token of --webhook-listen:").decode().strip()
    if not text:
        raise UsageError(f"{path}: holds no token", help=f"rm {path}: the next run makes one")
    return text


def block(listen: Listen) -> str:
    """The part of an Alertmanager's configuration that makes its notifications come here."""
    return f"""\
route:
  routes:               # before your own routes
    - receiver: gameday
      matchers: ['alertname=~".+"']
      group_by: ["..."]
      group_wait: 0s
      group_interval: 1s
      continue: true    # yours are notified as ever
receivers:
  - name: gameday
    webhook_configs:
      - url: {listen.url}
        http_config:
          authorization:
            credentials_file: {token_file()}    # copy it to where Alertmanager runs
"""
