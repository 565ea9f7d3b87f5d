"""Telling systemd how things stand (sd_notify protocol): ready, reloading, stopping, alive."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from typing import Final

WATCHDOG_SHARE: Final = 3
"""A sign of life this many times per watchdog interval: two may get lost."""


class Notifier:
    """Sends to $NOTIFY_SOCKET; without one it does nothing."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        with channel, contextlib.suppress(OSError):  # who asked to be told is gone: no reason to stop
            channel.sendto(text.encode(), address)

    def ready(self) -> None:
        """Everything listens, or a reload is over."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload has begun."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    async def watchdog(self) -> None:
        """Signs of life from the event loop, as often as systemd wants them; for as long as the daemon runs."""
        interval_us = int(os.environ.get("WATCHDOG_USEC", "0"))
        if not interval_us or not self._address:
            await asyncio.Event().wait()
        while True:
            self._send("WATCHDOG=1")
            await asyncio.sleep(interval_us / 1e6 / WATCHDOG_SHARE)
