"""A result made again from the certified sums of its chain, by whoever doubts the hub that wrote it.

The chain proves the sums (`verify`); the task's updates follow from them alone. So anybody with this program can make
the result again and hold it against the card and the arrays that came along. Not for the daemon: it loads tasks.
"""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from protocols.errors import LocalError, PeerError
from protocols.job.kinds import JobSpec
from protocols.records.record import Record
from protocols.secagg.layout import CHECK_BITS
from secured_node.data.errors import DataError
from secured_node.data.schema import parse_schema
from secured_node.verify import ProofError
from secured_node.work.computation import Computation
from secured_node.work.documents import Description
from secured_node.work.failures import WorkerError
from secured_node.work.frames import Open
from secured_node.work.kept import Kept
from secured_node.work.noise import noise_of

TOLERANCE: Final = 1e-9
"""Relative difference between two processors' results of the same integers: linear algebra differs in the last bits."""


def check_result(chain: dict[str, Any], proved: dict[str, Any], card: dict[str, Any], arrays: bytes) -> None:
    """Check a card and its arrays against the sums of a chain. proved: by `verify_chain`. Raises `ProofError`."""
    data, made = _recompute(chain, proved)
    if not _alike(data, card.get("data")):
        raise ProofError("card.json is not what the certified sums give")
    try:
        shown = load(arrays)
    except SafetensorError:
        raise ProofError("result.safetensors cannot be read") from None
    same = shown.keys() == made.keys() and all(
        shown[k].shape == made[k].shape and np.allclose(shown[k], made[k], rtol=TOLERANCE, atol=0) for k in made
    )
    if not same:
        raise ProofError("result.safetensors is not what the certified sums give")


def _recompute(chain: dict[str, Any], proved: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    record = msgspec.msgpack.decode(bytes.fromhex(chain["job"]), type=Record)
    spec = msgspec.msgpack.decode(record.body, type=JobSpec)
    before = tuple((size, rounds) for size, rounds in proved["before"])
    order = Open(1, "0" * 64, spec.task, None, len(proved["members"]), spec.word_bits, spec.min_rows, spec.rounds_max)
    order = msgspec.structs.replace(order, noise=noise_of(spec), before=before)
    description = Description(_schema(chain, spec), None, spec.parameters.decode())
    try:
        with tempfile.TemporaryDirectory(prefix="secured-node-") as folder:
            computation = Computation(order, description, Kept(Path(folder)), spec.min_rows)
            for number, (_, total) in enumerate(_rounds(chain), 1):
                computation.apply(number, memoryview(bytes.fromhex(total))[: -CHECK_BITS // 8])
            document, arrays = computation.result()
    except (DataError, WorkerError, LocalError, PeerError) as error:
        raise ProofError(f"the result cannot be made again: {error}") from None
    return msgspec.json.decode(document)["data"], load(arrays)


def _rounds(chain: dict[str, Any]) -> list[Any]:
    """The rounds of a verified chain, after those that it continues."""
    before = chain.get("before")
    return [*(_rounds(before) if before else ()), *chain["rounds"]]


def _schema(chain: dict[str, Any], spec: JobSpec) -> str | None:
    """The chain's schema, if it is the one that the job names."""
    if spec.data is None:
        return None
    text = chain.get("schema") or ""
    try:
        digest = parse_schema(tomllib.loads(text), "the chain's schema").digest()
    except (DataError, tomllib.TOMLDecodeError):
        digest = b""
    if digest != spec.data.schema:
        raise ProofError("the chain's schema is not the one that the job names")
    return text


def _alike(made: Any, shown: Any) -> bool:
    """The same plain values, numbers within the tolerance."""
    if isinstance(made, dict):
        keys = isinstance(shown, dict) and made.keys() == shown.keys()
        return keys and all(_alike(made[k], shown[k]) for k in made)
    if isinstance(made, list):
        return isinstance(shown, list) and len(made) == len(shown) and all(map(_alike, made, shown))
    if isinstance(made, float) and isinstance(shown, int | float):
        return abs(made - shown) <= TOLERANCE * max(abs(made), abs(shown))
    return type(made) is type(shown) and made == shown
