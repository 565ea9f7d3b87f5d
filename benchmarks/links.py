"""How fast a link carries payloads, and at what cost: one JSON object a line.

    python -m benchmarks.links [--mb 40] [--repeat 8]

Cases: both ends in one process, or in two; from the dialler (whose WebSocket frames are masked), towards it, and both
ways at once. `mb` is 10^6 bytes, counted once per direction; `cpu_ms_per_mb` counts both ends together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence

import numpy as np
import structlog

from protocols.identity import Identity, NodeId
from protocols.message import Message, Payload
from protocols.secagg.messages import Segment
from secured_node.net.certificate import sign_certificate
from secured_node.net.links import Links
from secured_node.net.roster import Contact, Roster
from secured_node.net.server import Server

DIALLER, LISTENER = (Identity(bytes([k]) * 32) for k in (1, 2))
WARM_UP = 2


class End:
    """One end of the link; `Events` that count what arrives."""

    def __init__(self, own: Identity, other: Identity, endpoint: str | None) -> None:
        self.peer = other.node
        contact = Contact(sign_certificate(other), (endpoint,) if endpoint else ())
        self._roster = Roster({other.node: contact})
        self.up = asyncio.Event()
        self.gone = asyncio.Event()
        self.arrived = asyncio.Semaphore(0)
        self.echo = False
        self.links = Links(own, b"benchmark", lambda: self._roster, self)
        self.server = Server(
            own,
            lambda: self._roster,
            streams=self.links,
            join=self.join,
            allowed=self.allowed,
            on_refused=self.on_refused,
        )
        self.port = self.server.listen("127.0.0.1", 0)
        self.links.refresh()

    async def join(self, _one_time: NodeId, _body: bytes) -> bytes:
        return b""

    def allowed(self, node: NodeId) -> bool:
        return node == self.peer

    def expects(self, _sender: NodeId, _message: Message, _size: int) -> bool:
        return True

    def on_message(self, _peer: NodeId, message: Message, payload: Payload | None) -> None:
        self.arrived.release()
        if self.echo and payload is not None:
            self.links.send(self.peer, message)  # the small message that stops the other end's clock

    def on_up(self, _peer: NodeId) -> None:
        self.up.set()

    def on_down(self, _peer: NodeId, _reason: str) -> None:
        self.gone.set()

    def on_progress(self, _peer: NodeId) -> None:
        return

    def on_refused(self, _peer: NodeId | None, code: str, detail: str) -> None:
        raise AssertionError(f"{code}: {detail}")

    def on_skew(self, _peer: NodeId, _skew_s: float) -> None:
        return

    async def send(self, payload: Payload, count: int) -> None:
        """Send a payload so many times."""
        for number in range(count):
            message = Segment(job=bytes(32), round=0, attempt=number, author=self.peer, segment=0)
            if not self.links.send(self.peer, message, payload.view()):
                raise RuntimeError("the link dropped a segment: its queue is full")

    async def wait(self, count: int) -> None:
        """Wait for so many messages."""
        for _ in range(count):
            await self.arrived.acquire()

    async def stop(self) -> None:
        """End everything."""
        await self.links.stop()
        await self.server.stop()


def report(case: str, mb: float, wall_s: float, cpu_s: float) -> None:
    """Print one line."""
    line = {"case": case, "mb": round(mb, 1), "wall_s": round(wall_s, 3), "cpu_s": round(cpu_s, 3)}
    line |= {"mb_per_s": round(mb / wall_s), "cpu_ms_per_mb": round(1000 * cpu_s / mb, 2)}
    print(json.dumps(line), flush=True)


async def one_process(payload: Payload, repeat: int) -> None:
    """Both ends in this process."""
    high = End(LISTENER, DIALLER, None)
    low = End(DIALLER, LISTENER, f"127.0.0.1:{high.port}")
    await asyncio.gather(low.up.wait(), high.up.wait())
    ways = {"from_dialler": [(low, high)], "to_dialler": [(high, low)], "both_ways": [(low, high), (high, low)]}
    for name, pairs in ways.items():
        for count in (WARM_UP, repeat):
            wall, cpu = time.perf_counter(), time.process_time()
            await asyncio.gather(*(sender.send(payload, count) for sender, _ in pairs))
            await asyncio.gather(*(receiver.wait(count) for _, receiver in pairs))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        report(f"one_process_{name}", len(pairs) * repeat * len(payload) / 1e6, wall, cpu)
    await asyncio.gather(low.stop(), high.stop())


async def two_processes(payload: Payload, repeat: int) -> None:
    """The dialler in a process of its own, which sends back a small message for each payload."""
    end = End(LISTENER, DIALLER, None)
    command = (sys.executable, "-m", "benchmarks.links", "--dial", str(end.port))
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    await end.up.wait()
    await end.send(payload, WARM_UP)
    await end.wait(WARM_UP)
    wall, cpu = time.perf_counter(), time.process_time()
    await end.send(payload, repeat)
    await end.wait(repeat)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    await end.stop()
    out, _ = await child.communicate()
    mb = repeat * len(payload) / 1e6
    theirs = float(out) * repeat / (repeat + WARM_UP)
    report("two_processes_to_dialler", mb, wall, cpu + theirs)


async def dial(port: int) -> None:
    """The other process: acknowledge until the link is gone, then print the CPU seconds since it came up."""
    end = End(DIALLER, LISTENER, f"127.0.0.1:{port}")
    end.echo = True
    await end.up.wait()
    cpu = time.process_time()
    await end.gone.wait()
    print(time.process_time() - cpu)
    await end.stop()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=40, help="size of a payload, 10^6 bytes")
    parser.add_argument("--repeat", type=int, default=8, help="payloads per case, after a warm-up")
    parser.add_argument("--dial", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    if options.dial:
        asyncio.run(dial(options.dial))
        return
    payload = np.random.default_rng(1).integers(0, 256, options.mb * 10**6, dtype=np.uint8)
    asyncio.run(one_process(payload, options.repeat))
    asyncio.run(two_processes(payload, options.repeat))


if __name__ == "__main__":
    main()
