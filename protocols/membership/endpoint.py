"""Where a node can be dialled: `host:port`, in one spelling only.

A host is an IPv4 address, an IPv6 address in brackets, or a DNS name in lower-case ASCII (IDNA for others). What
cannot be dialled (the unspecified address, multicast, port 0) and what resolvers read in more than one way (names that
end in a number, like ``0x7f.1``) is refused. An endpoint is a hint: who answers there is checked by its key.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from protocols.errors import PeerError

ENDPOINT_CHARS_MAX: Final = 128
"""Characters of an endpoint: names of hosts are rarely over 60; DNS would allow 253."""

_LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)\Z")
_NUMBER: Final = re.compile(r"([0-9]+|0x[0-9a-f]*)\Z")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}\Z")


def check_endpoint(text: str) -> None:
    """Check that `text` is an endpoint in its one spelling. Raises `PeerError` ``bad_endpoint``."""
    host, colon, port = text.rpartition(":")
    if not colon or (text.endswith("]") and text.startswith("[")):
        raise PeerError("bad_endpoint", "it has no port; an endpoint is host:port, like hub.example:7443")
    if len(text) > ENDPOINT_CHARS_MAX or not text.isascii():
        raise PeerError("bad_endpoint", f"not host:port of at most {ENDPOINT_CHARS_MAX} ASCII characters")
    if not _PORT.match(port) or int(port) > 65535:
        raise PeerError("bad_endpoint", "the port is not a number from 1 to 65535")
    if host.startswith("[") and host.endswith("]"):
        _check_address(host[1:-1], 6)
    elif _NUMBER.match(host.rpartition(".")[2]):
        _check_address(host, 4)
    elif not all(_LABEL.match(label) for label in host.split(".")):
        raise PeerError("bad_endpoint", "the host is neither an address nor a lower-case DNS name")


def _check_address(text: str, version: int) -> None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise PeerError("bad_endpoint", "the host looks like an address but is none") from None
    if address.version != version or str(address) != text or "%" in text:
        raise PeerError("bad_endpoint", f"the address is not in its usual spelling as IPv{version}, without a zone")
    if address.is_unspecified or address.is_multicast:
        raise PeerError("bad_endpoint", "nobody can be dialled at this address")
