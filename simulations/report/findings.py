"""The report in sentences: what was asked, what was found, what a simulation cannot tell. All from the numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from simulations.report.terms import terms_of
from simulations.report.view import FOUNDERS, View
from simulations.report.words import (
    Code,
    Sentence,
    Shown,
    clean,
    count,
    label,
    listed,
    number,
    plain,
    plural,
    share,
    size,
    span,
)
from simulations.study.result import EVERYWHERE, Comparison

EQUAL_MAX = 1e-6
"""Two models whose metrics or estimates differ by no more are called equal: fixed point and another order of
adding make such differences."""

FEW = 10
"""Repetitions below which the page warns of wide intervals."""
NAMED_MAX = 6
"""Hospitals that a sentence names; of more it tells the number."""


def asked(view: View) -> list[Sentence]:
    """The question."""
    result, nodes = view.result, view.shown.nodes if view.shown is not None else ()
    found: list[Sentence] = []
    if nodes:
        rows = [node.rows for node in nodes]
        each: Sentence = (count(rows[0]),) if min(rows) == max(rows) else (count(min(rows)), " to ", count(max(rows)))
        ending = " of its own" if len(nodes) == 1 else " each"
        found.append((
            "What do ", *plural(len(nodes), "hospital"), " with ", *each, f" rows{ending} learn from the task ",
            Code(clean(result.task)), " without showing each other a row?",
        ))  # fmt: skip
    if not is_of_a_run(view):
        found += [(f"{clean(note).rstrip('.')}.",) for note in result.notes]
    if result.split:
        found.append((f"The rows are divided among them ({clean(result.split).rstrip('.')}).",))
    found.append((
        "The answer was sought in ", *plural(len(result.repetitions), "repetition"),
        ", each with a seed of its own for the split, the network and all randomness." if len(result.repetitions) > 1
        else ", which can say nothing of how much chance moves it.",
    ))  # fmt: skip
    return found


def found(view: View) -> list[Sentence]:
    """The answer: one sentence a finding, the most important first."""
    makers = (
        _figures,
        _federated,
        _founders,
        _noise,
        _alone,
        _no_model,
        _own_rows,
        _coefficients,
        _target,
        _cost,
        _trouble,
        _attacks,
        _failures,
    )
    sentences = [sentence for make in makers for sentence in make(view)]
    outcomes = _outcomes(view)
    all_well = all(repetition.outcome == "done" for repetition in view.result.repetitions)
    return [*sentences, *outcomes] if all_well and sentences else [*outcomes, *sentences]


def _outcomes(view: View) -> list[Sentence]:
    repetitions = view.result.repetitions
    done = sum(r.outcome == "done" for r in repetitions)
    if not repetitions:
        return [("No repetition was run: there is nothing to report.",)]
    if done == len(repetitions):
        problems = Counter(r.problem for r in repetitions if r.problem)
        told: list[Sentence] = [
            ("In ", *plural(n, "repetition"), f" the task has no answer: {clean(why).rstrip('.')}.")
            for why, n in problems.items()
        ]
        return told if told else [_all_done(len(repetitions))]
    sentences: list[Sentence] = [
        (count(done), " of ", *plural(len(repetitions), "repetition"), " ended with a result.")
    ]
    others = Counter((r.outcome, r.reason) for r in repetitions if r.outcome != "done")
    for (outcome, reason), n in others.items():
        why = f": {clean(reason).rstrip('.')}" if reason else ""
        sentences.append((*plural(n, "repetition"), f" ended as {clean(outcome)}{why}."))
    return sentences


def _all_done(number_of: int) -> Sentence:
    return ("The repetition ended with a result.",) if number_of == 1 else (
        "All ", count(number_of), " repetitions ended with a result.",
    )  # fmt: skip


def _figures(view: View) -> list[Sentence]:
    """Of an experiment: what was measured."""
    told: list[Sentence] = []
    for total in view.result.totals if not is_of_a_run(view) else ():
        mean, low, high = total.value.mean, total.value.low, total.value.high
        if mean is None:
            continue
        around: Sentence = () if low is None or high is None or low == high else (
            f" ({view.confidence} interval ", number(low), " to ", number(high), ")",
        )  # fmt: skip
        name = clean(total.name)
        told.append((f"{name[0].upper()}{name[1:]}: ", number(mean), *around, "."))
    return told


def _federated(view: View) -> list[Sentence]:
    ours = view.comparison("federated", "", EVERYWHERE)
    sentences: list[Sentence] = []
    if ours is not None and ours.value.mean is not None:
        low, high = ours.value.low, ours.value.high
        around: Sentence = () if low is None or high is None else (
            f" ({view.confidence} interval ", number(low), " to ", number(high), ")",
        )  # fmt: skip
        sentences.append((
            f"On everybody's test rows the federated model has {_article(view.metric)} {view.metric} of ",
            number(ours.value.mean), *around, ".",
        ))  # fmt: skip
    if view.gap is not None and view.gap <= EQUAL_MAX:
        within: Sentence = ("exactly",) if view.gap == 0 else ("within ", number(view.gap))
        sentences.append((
            "Federated equals pooled ", *within, f" {view.metric} in every repetition: nothing is lost by keeping the "
            "rows where they are." if view.gap else " in every repetition: nothing is lost by keeping the rows where "
            "they are.",
        ))  # fmt: skip
    elif ours is not None and ours.minus_pooled is not None and ours.minus_pooled.mean is not None:
        sentences.append(("Against the pooled model, federated ", *_change(view, ours), "."))
    return sentences


def _founders(view: View) -> list[Sentence]:
    before = view.comparison("federated", FOUNDERS, EVERYWHERE)
    if before is None or before.value.mean is None:
        return []
    had = f"Before others joined, the founders' model had {_article(view.metric)} {view.metric} of "
    return [(had, number(before.value.mean), " on the same rows.")]


def _change(view: View, comparison: Comparison) -> Sentence:
    """ "loses 0.012 AUC (95 % interval 0.010 to 0.014)"."""
    value = comparison.minus_pooled
    if value is None or value.mean is None:
        return ()
    sign = 1 if view.result.higher_is_better else -1
    verb = "gains" if value.mean * sign > 0 else "loses"
    turn = 1.0 if value.mean > 0 else -1.0
    parts: Sentence = (f"{verb} ", number(abs(value.mean)), f" {view.metric}")
    if value.low is None or value.high is None:
        return parts
    ends = sorted((turn * value.low, turn * value.high))
    clear = "" if ends[0] > 0 else ", which chance may explain"
    return (*parts, f" ({view.confidence} interval ", number(ends[0]), " to ", number(ends[1]), f"){clear}")


def _alone(view: View) -> list[Sentence]:
    compared = [c for name in view.hospitals if (c := view.comparison("alone", name, EVERYWHERE)) is not None]
    known = [c.minus_pooled for c in compared if c.minus_pooled is not None]
    shifts = [shift.mean for shift in known if shift.mean is not None]
    if not shifts:
        return []
    chance = sum(s.low is not None and s.high is not None and s.low <= 0 <= s.high for s in known)
    perhaps: Sentence = (
        ("; for ", count(chance), " of ", count(len(shifts)), " chance may explain it") if chance else ()
    )
    losses = sorted(-shift if view.result.higher_is_better else shift for shift in shifts)
    who = "The hospital alone" if len(losses) == 1 else "Each hospital alone"
    if losses[0] > 0:
        how: Sentence = (number(losses[0]),) if len(losses) == 1 else (number(losses[0]), " to ", number(losses[-1]))
        return [(f"{who} loses ", *how, f" {view.metric} against pooled, on everybody's test rows", *perhaps, ".")]
    better = sum(loss <= 0 for loss in losses)
    return [(
        count(better), " of ", *plural(len(losses), "hospital"), " alone ", "is" if better == 1 else "are",
        " no worse than pooled on everybody's test rows; the largest loss of one alone is ",
        number(max(0.0, losses[-1])), f" {view.metric}.",
    )]  # fmt: skip


def _no_model(view: View) -> list[Sentence]:
    without = dict.fromkeys(m.node for r in view.result.repetitions for m in r.moments if m.kind == "alone")
    if not without:
        return []
    named = f" ({listed([label(name) for name in without])})" if len(without) <= NAMED_MAX else ""
    their = "its" if len(without) == 1 else "their"
    return [(
        *plural(len(without), "hospital"), f"{named} had no model of {their} own in some repetition: see the moments.",
    )]  # fmt: skip


def _own_rows(view: View) -> list[Sentence]:
    better: list[str] = []
    worse: list[str] = []
    for name in view.hospitals:
        alone, ours = view.comparison("alone", name, name), view.comparison("federated", "", name)
        if alone is None or ours is None or alone.value.mean is None or ours.value.mean is None:
            continue
        gain = (ours.value.mean - alone.value.mean) * (1 if view.result.higher_is_better else -1)
        (better if gain >= 0 else worse).append(label(name))
    if not better and not worse:
        return []
    both = len(better) + len(worse)
    if not worse:
        return [("On its own patients, the federated model serves every hospital at least as well as its own model.",)]
    named = f": {listed(worse)}" if len(worse) <= NAMED_MAX else ""
    return [(
        "On their own patients, ", count(len(worse)), " of ", *plural(both, "hospital"),
        f" would on average do better with a model of their own{named}.",
    )]  # fmt: skip


def _coefficients(view: View) -> list[Sentence]:
    terms = terms_of(view)
    if not terms:
        return []
    most = max(terms, key=lambda term: abs(term.apart))
    apart = abs(most.apart)
    if apart <= EQUAL_MAX:
        return [("No federated estimate differs from the pooled one by more than ", number(apart), ".")]
    return [("Federated and pooled estimates differ by up to ", number(apart), f" (that of {label(most.name)}).")]


def _target(view: View) -> list[Sentence]:
    if view.result.target is None:
        return []
    reached = view.total("rounds_to_target")
    if reached is None or reached.mean is None:
        return [(f"The target {view.metric} of ", number(view.result.target), " was never reached.")]
    return [(
        f"The target {view.metric} of ", number(view.result.target), " was reached after ", count(reached.mean),
        " rounds on average, in ", count(reached.n), " of ", *plural(len(view.result.repetitions), "repetition"), ".",
    )]  # fmt: skip


def _cost(view: View) -> list[Sentence]:
    rounds, time = view.total("rounds"), view.total("virtual_s")
    sent = [v.mean for name in view.hospitals if (v := view.total("sent_bytes", name)) and v.mean is not None]
    parts: list[Sentence] = []
    if rounds is not None and rounds.mean is not None:
        parts.append((count(rounds.mean), " rounds"))
    if time is not None and time.mean is not None:
        parts.append((span(time.mean), " of virtual time"))
    if sent:
        low, high = size(min(sent)), size(max(sent))
        parts.append((low, " sent by each hospital") if low.text == high.text else (
            low, " to ", high, " sent by a hospital",
        ))  # fmt: skip
    if not parts:
        return []
    joined: list[Sentence] = [("On average it takes ",)]
    for place, part in enumerate(parts):
        joined += [(", " if 0 < place < len(parts) - 1 else " and " if place else "",), part]
    return [(*(piece for sentence in joined for piece in sentence), ".")]


def _trouble(view: View) -> list[Sentence]:
    repetitions = view.result.repetitions
    drops = sum(node.drop_outs for r in repetitions for node in r.nodes)
    retries = sum(a_round.attempts > 1 for r in repetitions for a_round in r.rounds)
    if not drops and not retries:
        return []
    return [(
        "In all repetitions together hospitals dropped out ", count(drops), " times, and ",
        *plural(retries, "round"), " needed more than one attempt.",
    )]  # fmt: skip


def _attacks(view: View) -> list[Sentence]:
    tried = [a for r in view.result.repetitions for a in r.attacks]
    if not tried:
        return []
    won = [a for a in tried if a.succeeded]
    if not won:
        return [("None of the ", count(len(tried)), " attacks that were tried succeeded.")]
    names = listed(list(dict.fromkeys(label(a.name) for a in won)))
    return [(count(len(won)), " of ", *plural(len(tried), "attack"), f" succeeded: {names}.")]


def _noise(view: View) -> list[Sentence]:
    epsilon, delta = view.result.epsilon, view.result.delta
    if epsilon is None or delta is None:
        return []
    cost: Sentence = (Shown(epsilon, f"{epsilon:g}"), " at delta ", Shown(delta, f"{delta:g}"))
    return [("The federation's sums have noise, epsilon ", *cost, "; the models alone and pooled have none.")]


def _failures(view: View) -> list[Sentence]:
    failed = [f for r in view.result.repetitions for f in r.failures]
    return (
        [("The task raised an error ", *plural(len(failed), "time"), "; the table of failures says where.")]
        if failed
        else []
    )


def limits(view: View) -> list[Sentence]:
    """What this simulation cannot tell."""
    network, repetitions = view.result.network, view.result.repetitions
    line: Sentence = ("an unlimited line",) if network.bandwidth_bit_s is None else (
        "a line of ", Shown(network.bandwidth_bit_s, f"{network.bandwidth_bit_s / 1e6:g}"), " Mbit/s",
    )  # fmt: skip
    lost: Sentence = (share(network.loss), " of messages lost") if network.loss else ("no message lost",)
    of_a_run: list[Sentence] = [
        ("The network is a model: ", span(network.latency_s), " one way, up to ", span(network.jitter_s),
         " more by chance, ", *lost, ", each hub with ", *line,
         ". Computation takes as long as the scenario says. Virtual times are times of that model, not of a network "
         "that exists."),
        ("The hubs' protocol is the one that hospitals run. TLS, disks, operating systems and the people who answer a "
         "request are not simulated.",),
        ("Intervals cover what the seeds change: the split of these rows, the network, the randomness of the task. "
         "They say nothing of other patients, other hospitals, or data with errors that these rows do not have.",),
        ("The pooled model is a yardstick for the simulation alone. In a real federation nobody could compute it.",),
        ("What a sum, a coefficient or a finished model reveals about patients is not measured here unless an attack "
         "below does so; and an attack that failed here shows only that this attack failed.",),
    ]  # fmt: skip
    attacked = "an attack that failed here shows only that this attack failed."
    of_all: Sentence = (
        "Intervals cover what the seeds change, and say nothing of other data or other attackers; ",
        attacked,
    )
    sentences = of_a_run if is_of_a_run(view) else [of_all]
    if len(repetitions) == 1:
        sentences.append(
            (
                "With ",
                *plural(1, "repetition"),
                " there are no intervals, and a rare event was not seen.",
            )
        )
    elif len(repetitions) < FEW:
        sentences.append((
            "With ", *plural(len(repetitions), "repetition"), " intervals are wide, may reach beyond what the metric "
            "can be, and a rare event was most likely not seen.",
        ))  # fmt: skip
    if is_of_a_run(view):
        sentences += [(f"Of the data it was noticed: {clean(note).rstrip('.')}.",) for note in view.result.notes]
    return sentences


def is_of_a_run(view: View) -> bool:
    """Whether a task was run over a federation; an experiment has none."""
    return bool(view.result.task)


def replay(view: View) -> Sentence:
    """How to run one repetition again."""
    file = view.scenario_file
    seed = view.shown.seed if view.shown is not None else 0
    what = file if is_of_a_run(view) else clean(view.result.name)
    how = f"secured-sim run {what} --seed {seed} --repetitions 1"
    if view.is_from_python:
        how = f"Scenario(**json.load(open({file!r}))).with_run(seed={seed}, repetitions=1).study()"
    return (
        "A repetition runs again, event by event, from the scenario beside this page and its seed in the table of "
        "repetitions: ", Code(how), ". A scenario that names files of data must lie where it lay. The same version "
        "gives the same trace hash; another hash means another version or another scenario.",
    )  # fmt: skip


def texts(sentences: Sequence[Sentence]) -> list[str]:
    """As they are read."""
    return [plain(sentence) for sentence in sentences]


def _article(name: str) -> str:
    return "an" if name[:1].lower() in "aeiou" or name[:1] == "R" else "a"
