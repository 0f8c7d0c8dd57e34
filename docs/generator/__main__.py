"""`python -m docs.generator DIR`: write the reference into a folder, without Sphinx."""

import sys
from pathlib import Path

from docs.generator import write

write(Path(sys.argv[1]))
