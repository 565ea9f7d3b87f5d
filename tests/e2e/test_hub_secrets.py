"""secret_leak_scan: daemons at log level debug, real jobs, failures too; then everything they wrote is searched, and
all that they have in memory.

What can hold for memory. The daemon has the signing key: its 32 bytes are there, but no text of them. It must never
have a patient's value. The site's own integers pass through it on the way to being masked; once the round is certified
they must be gone. Its workers must not have the key at all.
"""

from __future__ import annotations

import base64
import contextlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from demo.hubs import Hub, wait_until
from protocols.encoding import finest_scale
from protocols.invitation.code import parse_invitation
from secured_node.cli.common import CommandError
from secured_node.data.schema import Column
from secured_node.tasks.units import Unit
from tests.hub_kit import (
    CLINIC,
    Table,
    children,
    cli,
    done,
    patients,
    register,
    running,
    submit,
    wait_ended,
    wait_offers,
)

pytestmark = pytest.mark.timeout(180)
POLICY = '[policy]\ndefault = "join"\nallow_isolation = true\n[log]\nlevel = "debug"\n'
NAMES = ("north", "east", "south")
ROWS = 25
ROWS_MAX = 10_000_000


def table_of(hospital: int) -> Table:
    """Patients whose numbers have many digits, so that none of them can turn up by chance."""
    rng = np.random.default_rng([77, hospital])
    plain = patients(hospital, ROWS, gaps=False)
    return Table(rng.uniform(20, 90, ROWS), rng.uniform(50, 120, ROWS), plain.stage, plain.ill)


def fixed_point(values: np.ndarray, bound: float) -> Iterator[bytes]:
    """The words that one site's real number may become: rounding goes down or up."""
    scale = finest_scale(bound, 64, len(NAMES))
    for value in np.atleast_1d(values):
        low = int(np.floor(value * scale))
        for word in (low, low + 1):
            yield struct.pack("<q", word)


def needles_of(hub: Hub, table: Table) -> dict[str, list[bytes]]:
    """What must not be found anywhere."""
    seed = (hub.state / "key").read_text().strip()
    raw = bytes.fromhex(seed)
    canaries: list[bytes] = []
    sums: list[bytes] = []
    for name, low, high in (("age", 0, 120), ("weight", 0, 400)):
        values = getattr(table, name)
        unit = Unit.of(Column(type="number", minimum=low, maximum=high))
        for value in values:
            canaries += [repr(float(value)).encode(), f"{value:.8g}".encode(), struct.pack("<d", value)]
            canaries.append(struct.pack("<f", value))
        scaled = unit.scaled(values)
        sums += fixed_point(np.nansum(scaled), ROWS_MAX + 1.0)
        sums += [repr(float(values.mean())).encode(), repr(float(values.sum())).encode()]
        sums += [struct.pack("<d", values.sum()), struct.pack("<d", np.nansum(scaled))]
    return {
        "seed": [raw, seed.encode(), seed.upper().encode(), base64.b64encode(raw), base64.urlsafe_b64encode(raw)],
        "canary": canaries,
        "sum": sums,
    }


def search(files: list[Path], needles: dict[str, list[bytes]]) -> list[str]:
    """Where any of them lies."""
    found = []
    for path in files:
        data = path.read_bytes()
        found += [f"{what} {n.hex()} in {path}" for what, some in needles.items() for n in some if n in data]
    return found


def memory_of(pid: int) -> bytes:
    """All that a process can write to: heap, stacks, maps of its own; program and libraries are as installed."""
    found = []
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb") as memory:
        for line in maps:
            place, rights, *_ = line.split()
            start, end = (int(part, 16) for part in place.split("-"))
            if rights.startswith("rw"):
                with contextlib.suppress(OSError):  # a region that is gone, or of a device
                    memory.seek(start)
                    found.append(memory.read(end - start))
    return b"\0".join(found)


def remembered(hub: Hub, needles: dict[str, list[bytes]]) -> list[str]:
    """Secrets in the memory of a hub's daemon and workers. The same search finds what the daemon must have."""
    assert hub.process is not None
    pid = hub.process.pid
    spare = wait_until(lambda: children(pid), "there is no spare worker")
    daemon, workers = memory_of(pid), [memory_of(one) for one in spare]
    raw, *texts = needles["seed"]
    assert raw in daemon and str(hub.state).encode() in daemon, "the search does not see the memory"
    found = [f"{what} {one!r} in the daemon" for what in ("canary", "sum") for one in needles[what] if one in daemon]
    found += ["the key, as text, in the daemon" for one in texts if one in daemon]
    for memory in workers:
        found += [
            f"{what} {one!r} in a spare worker" for what, some in needles.items() for one in some if one in memory
        ]
    return [f"{hub.name}: {one}" for one in found]


def few(needles: dict[str, list[bytes]], table: Table) -> dict[str, list[bytes]]:
    """Three patients and the site's sums: memory is large, and who leaks a column leaks it whole.

    No float32: four bytes turn up by chance in so much memory.
    """
    picked = [value for name in ("age", "weight") for value in getattr(table, name)[:3]]
    forms = [form for value in picked for form in (repr(float(value)).encode(), struct.pack("<d", value))]
    assert set(forms) <= set(needles["canary"])
    return {"seed": needles["seed"], "canary": forms, "sum": needles["sum"]}


def test_secret_leak_scan(tmp_path: Path) -> None:
    sources, outs = tmp_path / "sources", tmp_path / "outs"
    sources.mkdir()
    outs.mkdir()
    tables = [table_of(k) for k in range(3)]
    with running(tmp_path / "hubs", NAMES, POLICY) as hubs:
        said = []
        for hub, table in zip(hubs, tables, strict=True):
            register(hub, sources, table)
        wait_offers(hubs, "clinic", 3)
        code = cli(hubs[0].state, "invite").value["code"]
        job = submit(hubs[0], "summary", {"columns": ["age", "weight", "stage"]}, hubs, data="clinic")
        done(hubs, job)
        model = {"family": "gaussian", "outcome": "weight", "covariates": ["age"]}
        fit = submit(hubs[1], "glm", model, hubs, data="clinic")
        done(hubs, fit)
        # Failures talk most: a column that is none, a task beyond its bounds, a file that is no table.
        for parameters in ({"columns": ["nothing"]}, {"columns": ["age"], "rows_max": 5}):
            wait_ended(hubs, submit(hubs[2], "summary", parameters, hubs, data="clinic"))
        for hub, name in zip(hubs, NAMES, strict=True):
            shuffled = sources / f"{name}-bad.csv"
            lines = (sources / f"{name}-clinic.csv").read_text().splitlines()
            shuffled.write_text("\n".join(lines[1:]) + "\n")
            with contextlib.suppress(CommandError):
                hub.ask("POST", "/v1/data/check", {"path": str(shuffled), "schema": CLINIC.format(name="c", version=1)})
            out = cli(hub.state, "job", "result", job, "--out", str(outs / name))
            said.append(out.out + out.err + cli(hub.state, "audit", "show", "--last", "9999").out)
        needles = [needles_of(hub, table) for hub, table in zip(hubs, tables, strict=True)]
        seen = [one for hub, n, t in zip(hubs, needles, tables, strict=True) for one in remembered(hub, few(n, t))]
        assert not seen, "\n".join(seen[:20])
        hubs[0].kill()
        hubs[0].start()
        with pytest.raises(CommandError):
            hubs[0].ask("POST", "/v1/data/check", {"path": str(hubs[0].state / "key"), "schema": "x"})
        invitation = parse_invitation(code)
        secret = [invitation.secret, invitation.secret.hex().encode(), base64.b64encode(invitation.secret)]
        codes = [code.encode(), code[20:60].encode(), *secret]
    (outs / "said.txt").write_text("\n".join(said))
    files = [path for path in (tmp_path / "hubs").rglob("*") if path.is_file() and "scratch" not in path.parts]
    files += [path for path in outs.rglob("*") if path.is_file()]
    assert len([path for path in files if path.suffix == ".log"]) == 3
    assert any("blobs" in path.parts for path in files) and any(path.name == "node.db" for path in files)
    found = []
    for hub, some in zip(hubs, needles, strict=True):
        others = [path for path in files if path != hub.state / "key"]
        found += search(others, some | {"invitation": codes})
    assert not found, "\n".join(found[:20])
    _assert_the_search_finds(tmp_path, needles[0], tables[0], hubs[0])


def _assert_the_search_finds(folder: Path, needles: dict[str, list[bytes]], table: Table, hub: Hub) -> None:
    """The scan itself can fail: what it looks for is found where it is put."""
    planted = folder / "planted"
    planted.write_bytes(b"x" + struct.pack("<d", table.age[3]) + (hub.state / "key").read_bytes())
    assert {one.split()[0] for one in search([planted], needles)} == {"seed", "canary"}
    assert search([folder / "sources" / f"{hub.name}-clinic.csv"], needles)
    assert json.loads((folder / "outs" / hub.name / "card.json").read_text())["data"]["rows"] == 3 * ROWS
