"""Every limit of the network layer, with its unit and where its number comes from.

Read as ``limits.NAME`` where it is used, so that a test can set one for itself.
"""

from __future__ import annotations

from protocols import wire
from protocols.invitation.messages import JOIN_REPLY_BYTES_MAX, JOIN_REQUEST_BYTES_MAX
from protocols.secagg.messages import PAYLOAD_BYTES_MAX

# --- Frames -----------------------------------------------------------------------------------------------------------
CHUNK_BYTES = 128 * 1024
"""Of a payload in one frame. Measured with `benchmarks/links.py` (both ends in one process, MB/s from and to the
dialler): 64 KiB 590 and 640, 128 KiB 530 and 600, 256 KiB 420 and 530, 512 KiB 350 and 440, 1 MiB 370 and 470: the
larger ones fall out of the caches on their four copies. 64 KiB costs more where the ends are two processes."""
BULK_FRAME_BYTES_MAX = 2**20
"""Of a frame of the bulk stream: leaves another version free to send larger chunks."""
ENVELOPE_BYTES_MAX = 64
"""What an offer adds around its message: type, numbers, lengths (at most 30 bytes)."""
CONTROL_FRAME_BYTES_MAX = wire.MESSAGE_BYTES_MAX + ENVELOPE_BYTES_MAX
"""A frame of the control stream is a message, or an offer that holds one."""
FEDERATION_BYTES_MAX = 64
"""A federation's id in a hello: a digest has 32."""
MESSAGES_PER_TURN = 16
"""Control messages handled before other tasks get their turn: at 1 ms each, far from blocking the loop for 50 ms."""

# --- Queues of one link -----------------------------------------------------------------------------------------------
INLINE_BYTES_MAX = 32 * 2**10
"""Payloads up to here travel beside their message on the control stream: the short vectors of statistics and models."""
CONTROL_QUEUE_MESSAGES_MAX = 4096
"""Control messages waiting for one peer: five per member of the largest cohort (128), for six jobs at once."""
CONTROL_QUEUE_BYTES_MAX = 16 * 2**20
"""The same in bytes: some 70 messages of the largest type. Who reads slower than that has to come back and ask."""
BULK_QUEUE_ITEMS_MAX = 512
"""Payloads waiting for one peer, by reference: four for each member of the largest cohort."""
BULK_QUEUE_BYTES_MAX = PAYLOAD_BYTES_MAX
"""The same in bytes: the largest payload that any type allows must fit. They are references, not copies."""
OFFERS_AHEAD_MAX = 4
"""Payloads offered and not yet acknowledged: hides the round trip of the next offer behind the present payload."""
PARTIALS_MAX = 2 * OFFERS_AHEAD_MAX
"""Payloads of one peer that may be incomplete here: what it offers now, and what a lost link left behind."""
RESUME_S = 300.0
"""How long both sides keep what a lost link interrupted: a router's restart, not a night."""

# --- Life of a link ---------------------------------------------------------------------------------------------------
HEARTBEAT_S = 10.0
"""Between pings on each stream: firewalls forget idle connections after 60 s at the earliest."""
DEAD_S = 30.0
"""A stream on which nothing came for so long is dead: three pings lost. A chunk must get through in this time, so a
link needs 35 kbit/s at least."""
PROBE_S = 2.0
"""Within it a live link answers a ping when the peer dials although there is one."""
TIE_WAIT_S = 1.0
"""How long the lower node lets a caller wait for the outcome of its own call: several round trips of any network."""
DIAL_DELAY_S = 1.0
"""How long the higher node waits for the lower one's call before it calls itself."""
BACKOFF_BASE_S = 0.5
"""The first wait after a failed call is drawn from 0 to this; each further one from twice as much (full jitter)."""
BACKOFF_MAX_S = 60.0
"""The longest wait between calls: a hospital that is back is found within a minute. Calls never stop."""
STABLE_S = 10.0
"""A link that lived longer than this was a good one: the next call comes without backoff."""
CLOSE_S = 0.5
"""For saying goodbye; then the socket is shut. A revoked peer is gone within 1 s."""
CLOCK_SKEW_S_MAX = 120.0
"""Clocks further apart than this are reported with the measured difference. Nothing is decided by wall time."""

# --- Calling ----------------------------------------------------------------------------------------------------------
CONNECT_S = 10.0
"""For name lookup, TCP and TLS of one call: ten of the slowest round trips."""
HELLO_S = 5.0
"""From a stream's birth to its hello, and from the control stream to the bulk stream that belongs to it."""
JOIN_S = 30.0
"""For the whole exchange of a joining node, or of fetching a certificate: a person waits at the screen."""
RESPONSE_HEADERS_MAX = 32
"""Headers in the answer of a node that we called; ours sends five."""

# --- Being called -----------------------------------------------------------------------------------------------------
BACKLOG = 1024
"""Connections that the kernel may keep for us: a flood of a thousand must not make an honest call wait for the
kernel's resend after 1 s."""
WAITING_MAX = 128
"""Connections that have not yet made a request. Each takes 0.3 MiB in asyncio's TLS: 40 MiB at the worst. One more
drives out the oldest, so that a flood cannot lock the door."""
WAITING_PER_ADDRESS_MAX = 48
"""The same from one address: ten daemons on one machine, or a hospital behind one address, start at once with 18."""
HANDSHAKE_S = 4.0
"""For the TLS handshake: two round trips."""
ENTRY_S = 8.0
"""From accepting a connection to its complete request header: who dawdles is gone within 10 s."""
ACCEPTS_PER_TURN = 32
"""Connections accepted before other tasks get their turn: at 0.1 ms each."""
ACCEPT_RETRY_S = 1.0
"""After running out of file descriptors, until the next attempt to accept."""
REQUEST_LINE_BYTES_MAX = 1024
"""Our longest request line has 30 bytes."""
HEADER_BYTES_MAX = 2048
"""Of one header field; our longest has 100."""
HEADERS_MAX = 32
"""Header fields in a request; ours has twelve."""
STREAMS_PER_MEMBER_MAX = 8
"""Streams that one member may hold open here: a link has two, one being replaced two more."""
JOIN_BYTES_MAX = JOIN_REQUEST_BYTES_MAX
"""The body of a joining node's request is one message."""
JOIN_ANSWER_BYTES_MAX = JOIN_REPLY_BYTES_MAX
"""And so is the answer to it."""
JOINS_MAX = 8
"""Joining requests served at once."""
REFUSALS_PER_MINUTE_MAX = 60
"""Refusals logged and reported one by one, per member and for all strangers; the rest is only counted, so that
neither a scan nor a hostile member can fill the audit."""
STRANGER_S = 60.0
"""Until an unknown key's calls are worth a warning: hubs compare their records every 30 s, so twice that."""
STRANGERS_MAX = 64
"""Unknown keys watched at a time: a federation that restarts together has fewer newcomers; more is a scan."""
SHUTDOWN_S = 1.0
"""For TLS's own goodbye, and for handlers when the server stops."""
