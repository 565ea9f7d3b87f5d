"""Libraries that others load for comfort, kept out of a process that has no use for them.

structlog loads rich to draw tracebacks, sqlite-utils loads pandas where it is installed. A daemon at rest needs
neither: each costs megabytes of memory for as long as it runs.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def hidden(library: str) -> Iterator[None]:
    """While this lasts, importing the library fails as if it were not installed; unless it is loaded already."""
    hides = library not in sys.modules
    if hides:
        sys.modules[library] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hides:
            del sys.modules[library]
