"""Sphinx reads this: what the site is made of. The reference is generated before it reads."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from docs.generator import links, write  # noqa: E402
from gameday import __version__  # noqa: E402

project = "gameday"
release = version = __version__
copyright = "the gameday authors, Apache-2.0"
extensions = ["myst_parser"]
exclude_patterns = ["schemas", "generator", "site"]
myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]
nitpicky = True
html_theme = "furo"
html_title = "gameday"
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["static"]
html_css_files = ["site.css"]
pygments_style = "friendly"
pygments_dark_style = "github-dark"

write(HERE / "reference")


def setup(app):
    """Hold every link of the built pages against what was built."""
    app.connect("source-read", links.to_the_repository)
    app.connect("build-finished", links.check)
