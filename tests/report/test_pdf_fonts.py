"""Fonts of a Korean PDF: where none has Hangul it is refused, with the cure, and never printed."""

import os
import shutil
from pathlib import Path

import pytest

from gameday.core import settings
from gameday.core.errors import UsageError
from gameday.report.html.pdf import has_hangul, pdf

FC_LIST = shutil.which("fc-list")
with_fontconfig = pytest.mark.skipif(FC_LIST is None, reason="there is no fc-list here")
NO_FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{folder}</dir><cachedir>{folder}</cachedir></fontconfig>
"""


def without_fonts(folder: Path) -> dict[str, str]:
    """An environment in which fontconfig knows no font at all."""
    (folder / "fonts.conf").write_text(NO_FONTS.format(folder=folder / "none"))
    return {"PATH": os.environ["PATH"], "FONTCONFIG_FILE": str(folder / "fonts.conf")}


@with_fontconfig
def test_a_machine_without_any_font_has_no_hangul(tmp_path: Path) -> None:
    assert not has_hangul(without_fonts(tmp_path), "linux")


def test_macos_and_windows_bring_a_font(tmp_path: Path) -> None:
    nothing = {"PATH": str(tmp_path)}
    assert has_hangul(nothing, "darwin")
    assert has_hangul(nothing, "win32")


def test_a_broken_fc_list_forbids_nothing(tmp_path: Path) -> None:
    fake = tmp_path / "fc-list"
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    assert has_hangul({"PATH": str(tmp_path)}, "linux")


@with_fontconfig
def test_a_korean_pdf_without_a_font_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in without_fonts(tmp_path).items():
        monkeypatch.setenv(name, value)
    settings.begin()
    try:
        settings.choose("lang", "ko", "--lang")
        with pytest.raises(UsageError, match="no font with Hangul") as error:
            pdf(tmp_path)
        assert "fonts-noto-cjk" in error.value.help
        settings.choose("lang", "en", "--lang")
        with pytest.raises(Exception) as other:
            pdf(tmp_path)  # it goes on to the run, of which there is none
        assert "Hangul" not in str(other.value)
    finally:
        settings.end()
