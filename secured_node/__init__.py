"""The daemon that a hospital runs, its worker, its command line: everything that touches the world."""

from typing import Final

VERSION: Final = "0.1.0"
