"""Tools of the operating system that some tests need. Without one a test is skipped, unless skipping is not allowed.

`.ci/run` installs the tools and sets ``SECURED_NODE_NO_SKIP=1``: what it is to prove must not be left out unnoticed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

NO_SKIP = "SECURED_NODE_NO_SKIP"
PACKAGES = {"systemd-analyze": "systemd", "systemd-sysusers": "systemd", "systemd-tmpfiles": "systemd"}
"""Debian's package for a tool, where it has another name."""


def need(tool: str) -> Path:
    """Where the tool is. Skips the test without it, or fails it if skips are not allowed."""
    found = shutil.which(tool, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    if found is None:
        missing(f"{tool} is not installed (Debian: apt-get install {PACKAGES.get(tool, tool)})")
    return Path(found)


def missing(what: str) -> NoReturn:
    """Skip the test because of what this machine lacks, or fail it if skips are not allowed."""
    if os.environ.get(NO_SKIP) == "1":
        pytest.fail(f"{what}; {NO_SKIP}=1 does not allow this test to be skipped")
    pytest.skip(what)
