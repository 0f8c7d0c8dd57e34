"""The page printed by a Chromium without a window, where there is one.

One is found by its name on PATH, or where Playwright keeps those that it brings. It gets a folder
of its own, nothing of the environment but where to find files, and a minute.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NoReturn

from gameday.core import files, settings
from gameday.core.errors import UsageError
from gameday.report.html.page import page

NAMES: Final = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
)
_FOLDERS: Final = (".cache/ms-playwright", "Library/Caches/ms-playwright")
_BROUGHT: Final = (
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
    "chromium_headless_shell-*/chrome-*/*headless*shell",
)
_PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "FONTCONFIG_PATH", "FONTCONFIG_FILE")
WAIT_S: Final = 60.0
_FONTS_S: Final = 20.0
_FONT_FOLDERS: Final = ("/usr/share/fonts", "/usr/local/share/fonts")
_HANGUL_FONT: Final = re.compile(
    r"CJK|KR\b|Nanum|Un(?:Batang|Dotum)|Baekmuk|D2Coding|Pretendard|wqy|DroidSansFallback"
)
_LARGEST_BYTES: Final = 64 * files.MIB


def pdf(run_dir: Path) -> bytes:
    """The page as PDF. Raises UsageError where nothing can print it."""
    if settings.language() == "ko" and not has_hangul(os.environ):
        raise UsageError(
            "there is no font with Hangul here: a Korean PDF would show boxes instead of letters",
            help="install one, such as fonts-noto-cjk or fonts-nanum (Debian, Ubuntu),"
            " google-noto-sans-cjk-fonts (Fedora) or font-noto-cjk (Alpine);"
            " or print it in English: --lang en",
        )
    return printed(page(run_dir), os.environ)


def has_hangul(environment: Mapping[str, str], platform: str = sys.platform) -> bool:
    """True if a font with Hangul is there: fontconfig says so, else the usual folders do."""
    if platform in ("darwin", "win32"):
        return True  # the system brings one
    program = shutil.which("fc-list", path=environment.get("PATH", ""))
    if program is not None:
        try:
            listed = subprocess.run(
                [program, ":lang=ko", "family"],
                env={**{n: environment[n] for n in _PASSED_ON if n in environment}, "HOME": "/"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_FONTS_S,
            )
        except (OSError, subprocess.TimeoutExpired):
            return True  # nobody can tell: rather a page that a person looks at
        return bool(listed.stdout.strip()) or listed.returncode != 0
    return any(
        _HANGUL_FONT.search(path.name) for each in _FONT_FOLDERS for path in Path(each).rglob("*")
    )


def printed(html: bytes, environment: Mapping[str, str], wait_s: float = WAIT_S) -> bytes:
    """Print a page of ours. Raises UsageError where there is no Chromium, or it cannot."""
    browser = find_chromium(environment)
    if browser is None:
        _refuse(None)
    with TemporaryDirectory(prefix="gameday-pdf-", ignore_cleanup_errors=True) as folder:
        source, made = Path(folder, "postmortem.html"), Path(folder, "postmortem.pdf")
        source.write_bytes(html)
        command = [str(browser), *_options(Path(folder)), f"--print-to-pdf={made}"]
        kept = {name: environment[name] for name in _PASSED_ON if name in environment}
        why = _run([*command, source.as_uri()], {**kept, "HOME": folder}, wait_s)
        try:
            raw = files.read_bytes(made, _LARGEST_BYTES)
        except OSError:
            raw = b""
    if not raw.startswith(b"%PDF-"):
        _refuse(browser, why)
    return raw


def _refuse(browser: Path | None, why: str = "") -> NoReturn:
    raise UsageError(
        "there is no Chromium here, which prints the PDF"
        if browser is None
        else f"{browser}: made no PDF: {why or 'it said nothing'}",
        help="install Chromium, or `playwright install chromium`; or open postmortem.html in a"
        " browser and print it there",
    )


def find_chromium(environment: Mapping[str, str]) -> Path | None:
    """A Chromium on PATH, or one that Playwright brought."""
    for name in NAMES:
        if found := shutil.which(name, path=environment.get("PATH", "")):
            return Path(found)
    return next(_brought(environment), None)


def _brought(environment: Mapping[str, str]) -> Iterator[Path]:
    home = Path(environment.get("HOME") or "/nonexistent")
    folders = [home / each for each in _FOLDERS]
    if given := environment.get("PLAYWRIGHT_BROWSERS_PATH"):
        folders.insert(0, Path(given))
    for folder in folders:
        for pattern in _BROUGHT:
            for path in sorted(folder.glob(pattern), reverse=True):
                if path.is_file() and os.access(path, os.X_OK):
                    yield path


def _options(folder: Path) -> list[str]:
    options = [
        "--headless",
        "--disable-gpu",
        "--disable-extensions",
        "--disable-background-networking",
        "--no-first-run",
        "--no-pdf-header-footer",
        "--disable-dev-shm-usage",
        f"--user-data-dir={folder / 'profile'}",
    ]
    # Chromium has no sandbox for root; the page is ours and may load nothing.
    return [*options, "--no-sandbox"] if os.geteuid() == 0 else options


def _run(command: list[str], environment: Mapping[str, str], wait_s: float) -> str:
    """Run it and all that it starts, for so long; the last line of what it complained of."""
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        return error.strerror or str(error)
    try:
        _, said = process.communicate(timeout=wait_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"it was not done after {wait_s:.0f} s"
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else ""
