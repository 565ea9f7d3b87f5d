"""Results as a study makes them, through the real classes; the numbers are drawn, the shapes are those of a study."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from simulations.study.intervals import interval
from simulations.study.result import (
    EVERYWHERE,
    Attack,
    Comparison,
    Estimate,
    Failure,
    Moment,
    NetworkModel,
    NodeResult,
    Repetition,
    RoundResult,
    Score,
    SentMessage,
    StudyResult,
    Total,
)

CITIES = ("Cleveland", "Budapest", "Zürich", "Basel", "Long Beach", "Leuven", "Porto", "Graz", "Oslo", "Turin")
TERMS = ("intercept", "age", "sex: female", "resting blood pressure", "cholesterol", "exercise angina")
TYPES = (("Offer", 180), ("Root", 240), ("Segment", 8400), ("Sums", 410), ("Vote", 300))
SCENARIO = """# Heart disease, five hospitals
name = "heart"
title = "Heart disease across hospitals"

[split]
by = "column"
column = "site"

[task]
name = "glm"
parameters = { family = "binomial", outcome = "disease" }

[run]
repetitions = 20
seed = 1
"""


def names(number: int) -> list[str]:
    return [CITIES[i] if i < len(CITIES) else f"Hospital {i + 1}" for i in range(number)]


def messages(rng: random.Random, hubs: list[str], loss: float = 0.03) -> list[SentMessage]:
    sent = []
    for step, (kind, size) in enumerate(TYPES):
        for one in hubs:
            at = 2.0 + 0.055 * step + rng.uniform(0, 0.012)
            for other in hubs:
                if one != other:
                    lost = rng.random() < loss
                    received = None if lost else at + 0.02 + rng.uniform(0, 0.012)
                    sent.append(
                        SentMessage(
                            sent_s=at, received_s=received, sender=one, to=other, type=kind,
                            size=size + rng.randrange(20), lost=lost,
                        )
                    )  # fmt: skip
    return sent


def scores(rng: random.Random, hubs: list[str], shift: float, same: bool) -> list[Score]:
    found = []
    for place, tested_on in enumerate([EVERYWHERE, *hubs]):
        base = 0.87 + rng.gauss(0, 0.012) + (0 if tested_on == EVERYWHERE else 0.03 * ((place % 3) - 1))
        rows = 180 if tested_on == EVERYWHERE else 180 // len(hubs)
        gap = rng.choice((-1, 1)) * 3e-10 if same else -abs(rng.gauss(0.006, 0.003))
        values = {("pooled", ""): base, ("federated", ""): base + gap + shift}
        for i, hub in enumerate(hubs):
            if tested_on in (EVERYWHERE, hub):
                own = 0.035 if tested_on == hub else 0
                values["alone", hub] = base - 0.02 - 0.022 * (i % 5) + own + rng.gauss(0, 0.012)
        for (arm, hospital), value in values.items():
            for metric, score in (("auc", value), ("log_loss", 0.9 - 0.55 * value), ("brier", 0.4 - 0.3 * value)):
                found.append(
                    Score(arm=arm, hospital=hospital, tested_on=tested_on, metric=metric, rows=rows, value=score)  # type: ignore[arg-type]
                )
    return found


def estimates(rng: random.Random, hubs: list[str]) -> list[Estimate]:
    found = []
    for place, term in enumerate(TERMS):
        centre, error = 0.8 - 0.31 * place + rng.gauss(0, 0.02), 0.06 + 0.03 * place
        found.append(Estimate(arm="pooled", hospital="", term=term, value=centre, standard_error=error))
        ours = centre + rng.gauss(0, 1e-10)
        found.append(Estimate(arm="federated", hospital="", term=term, value=ours, standard_error=error))
        found += [
            Estimate(
                arm="alone", hospital=hub, term=term, value=centre + rng.gauss(0, 2.2 * error), standard_error=2 * error
            )
            for hub in hubs
        ]
    return found


def repetition(
    seed: int, hubs: list[str], rounds: int, shift: float = 0.0, same: bool = True, trouble: bool = True
) -> Repetition:
    rng = random.Random(seed)
    kept, at = [], 1.4
    for number in range(1, rounds + 1):
        again = 2 if trouble and rng.random() < 0.07 else 1
        lasts = 0.32 * again + rng.uniform(0, 0.06)
        auc = 0.87 - 0.33 * 0.42**number + rng.gauss(0, 0.008)
        kept.append(
            RoundResult(
                number=number, started_s=at, certified_s=at + 0.8 * lasts, all_s=at + lasts, attempts=again,
                sent_bytes=len(hubs) * 41_000 * again + rng.randrange(4000),
                metrics={"auc": auc if number > 1 else None, "log_loss": 0.9 - 0.55 * auc},
            )
        )  # fmt: skip
        at += lasts
    nodes = [
        NodeResult(
            name=hub, rows=303 - 41 * (i % 6), train_rows=212 - 29 * (i % 6), test_rows=91 - 12 * (i % 6),
            positives=97 - 13 * (i % 6), sent_bytes=260_000 + 900 * i + rng.randrange(9000),
            received_bytes=258_000 - 700 * i + rng.randrange(9000), sent_messages=200, received_messages=196,
            state="done", drop_outs=int(trouble and i == 3),
        )
        for i, hub in enumerate(hubs)
    ]  # fmt: skip
    return Repetition(
        seed=seed, trace_hash=f"{rng.getrandbits(256):064x}", virtual_s=at + 0.2, events=4200 + rng.randrange(300),
        outcome="done", nodes=tuple(nodes), rounds=tuple(kept), rounds_to_target=4,
        scores=tuple(scores(rng, hubs, shift, same)), estimates=tuple(estimates(rng, hubs)),
        refusals={"late": rng.randrange(9), "repeated": rng.randrange(4), "unknown_sender": 1} if trouble else {},
        moments=tuple(moments(rng, hubs, at)) if trouble else (),
        attacks=tuple(attacks(rng)) if trouble else (), failures=tuple(failures(hubs, seed)) if trouble else (),
    )  # fmt: skip


def moments(rng: random.Random, hubs: list[str], end: float) -> list[Moment]:
    fault = hubs[min(3, len(hubs) - 1)]
    found = [Moment(at_s=0.1 + rng.uniform(0, 0.2), node=hub, kind="move", text="the job is running") for hub in hubs]
    found += [
        Moment(at_s=1.9, node=fault, kind="fault", text="crash"),
        Moment(at_s=2.1, node="", kind="fault", text="3 % of all messages are lost"),
        Moment(at_s=2.4, node=hubs[0], kind="retry", text=f"round 2, attempt 1 without a sum; waited for {fault}"),
        Moment(at_s=2.6, node=hubs[0], kind="pause", text=f"round 2 waits for {fault}"),
        Moment(at_s=2.7, node=hubs[-1], kind="refusal", text="late: an offer of an attempt that is over"),
        Moment(at_s=2.8, node=hubs[-1], kind="evidence", text="two offers by one author"),
        Moment(at_s=2.9, node=fault, kind="fault", text="back"),
        Moment(at_s=3.1, node=hubs[-1], kind="attack", text="sends two offers"),
    ]
    return found + [Moment(at_s=end, node=hub, kind="move", text="the job is done") for hub in hubs]


def attacks(rng: random.Random) -> list[Attack]:
    return [
        Attack(name="two offers", node="Turin", succeeded=False, text="named by its own signature"),
        Attack(name="isolate a hospital", node="Porto", succeeded=False, text="refused at the decision", value=0.0),
        Attack(
            name="membership on the sum", node="Porto", succeeded=rng.random() < 0.15, text="AUC", value=rng.random()
        ),
    ]


def failures(hubs: list[str], seed: int) -> list[Failure]:
    return [Failure(node=hubs[0], round=3, error="raised on purpose")] if seed % 7 == 0 else []


def comparisons(repetitions: Iterable[Repetition], confidence: float = 0.95) -> list[Comparison]:
    kept = list(repetitions)
    by_key: dict[tuple[Any, ...], dict[int, float | None]] = {}
    for place, one in enumerate(kept):
        for s in one.scores:
            by_key.setdefault((s.arm, s.hospital, s.tested_on, s.metric), {})[place] = s.value
    found = []
    for (arm, hospital, tested_on, metric), values in by_key.items():
        pooled = by_key.get(("pooled", "", tested_on, metric), {})
        shifts = [v - p for place, v in values.items() if v is not None and (p := pooled.get(place)) is not None]
        found.append(
            Comparison(
                arm=arm, hospital=hospital, tested_on=tested_on, metric=metric,
                value=interval(values.values(), confidence),
                minus_pooled=None if arm == "pooled" else interval(shifts, confidence),
            )
        )  # fmt: skip
    return found


def totals(repetitions: Iterable[Repetition], hubs: list[str], confidence: float = 0.95) -> list[Total]:
    kept = list(repetitions)
    whole = {
        "rounds": [len(r.rounds) for r in kept],
        "rounds_to_target": [r.rounds_to_target for r in kept],
        "virtual_s": [r.virtual_s for r in kept],
        "drop_outs": [sum(n.drop_outs for n in r.nodes) for r in kept],
        "refusals": [sum(r.refusals.values()) for r in kept],
    }
    found = [Total(name=name, node="", value=interval(values, confidence)) for name, values in whole.items()]
    for place, hub in enumerate(hubs):
        for name in ("sent_bytes", "received_bytes"):
            values = [getattr(r.nodes[place], name) for r in kept]
            found.append(Total(name=name, node=hub, value=interval(values, confidence)))
    return found


def study(
    hubs: list[str] | None = None, repetitions: int = 20, rounds: int = 6, first_seed: int = 1, **changes: Any
) -> StudyResult:
    """A study. changes: of `repetition`, or fields of the result."""
    hubs = names(5) if hubs is None else hubs
    of_repetition = {key: changes.pop(key) for key in ("shift", "same", "trouble") if key in changes}
    kept = [repetition(first_seed + i, hubs, rounds, **of_repetition) for i in range(repetitions)]
    if kept and of_repetition.get("trouble", True):
        first = kept[0]
        sent = messages(random.Random(7), hubs)
        kept[0] = type(first)(
            **{f: getattr(first, f) for f in first.__struct_fields__} | {"messages": tuple(sent), "sequence_round": 2}
        )
    facts: dict[str, Any] = {
        "name": "heart", "title": "Heart disease across hospitals", "scenario": SCENARIO, "version": "0.1.0",
        "task": "glm", "metric": "auc", "higher_is_better": True, "target": 0.85, "confidence": 0.95,
        "network": NetworkModel(latency_s=0.02, jitter_s=0.005, bandwidth_bit_s=1e8, loss=0.03),
        "split": "by column site", "executor": "this process", "wall_s": 12.25, "repetitions": tuple(kept),
        "comparisons": tuple(comparisons(kept)), "totals": tuple(totals(kept, hubs)),
    }  # fmt: skip
    return StudyResult(**facts | changes)
