"""Logs: one JSON object a line, each with the request it belongs to; levels change at run time."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

request_id: ContextVar[str] = ContextVar("request_id", default="")
LEVELS = ("OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE")
_NUMBERS = {
    "OFF": logging.CRITICAL + 10, "ERROR": logging.ERROR, "WARN": logging.WARNING,
    "WARNING": logging.WARNING, "INFO": logging.INFO, "DEBUG": logging.DEBUG, "TRACE": 5,
}  # fmt: skip


class JsonLines(logging.Formatter):
    """One line of JSON a record."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if id_ := request_id.get():
            line["request_id"] = id_
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def start(level: str) -> None:
    """Log to stderr from `level` up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=_NUMBERS.get(level, logging.INFO), force=True)


def levels() -> dict[str, Any]:
    """Every logger's configured and effective level, in the form of Spring's actuator."""
    names = sorted(
        name for name, known in logging.root.manager.loggerDict.items()
        if isinstance(known, logging.Logger)
    )  # fmt: skip
    return {"levels": list(LEVELS), "loggers": {name: level(name) for name in ["ROOT", *names]}}


def level(name: str) -> dict[str, str | None]:
    """One logger's configured level (null: its parent's) and the one in effect."""
    logger = _logger(name)
    configured = _name(logger.level) if logger.level else None
    return {"configuredLevel": configured, "effectiveLevel": _name(logger.getEffectiveLevel())}


def known(name: str) -> bool:
    """Tell whether there is a logger of this name."""
    return name == "ROOT" or isinstance(logging.root.manager.loggerDict.get(name), logging.Logger)


def set_level(name: str, configured: str | None) -> bool:
    """Change a logger's level, None for its parent's; False where the level is not one."""
    if configured is not None and configured not in _NUMBERS:
        return False
    if configured is None and name == "ROOT":
        return False
    _logger(name).setLevel(logging.NOTSET if configured is None else _NUMBERS[configured])
    return True


def _logger(name: str) -> logging.Logger:
    return logging.getLogger(None if name == "ROOT" else name)


def _name(number: int) -> str:
    named = {_NUMBERS[name]: name for name in LEVELS}
    return named.get(number, logging.getLevelName(number))
