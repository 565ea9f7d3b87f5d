"""Every kind of adversary by its name, and the most that it may achieve: what trials draw from and hold it to.

Whatever they do: honest hubs never accept a sum that is not exact, never hold two certificates of a round, never
convict anybody honest; and a job that does not end well ends in words, or says who is waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from simulations.adversaries import (
    colluders,
    garbage,
    groups,
    holders,
    inconsistency,
    jumping,
    mutator,
    offers,
    records,
    replaying,
    rushing,
    segments,
    silence,
    submitters,
    voting,
    withholding,
)
from simulations.adversaries.adversary import MakeBehaviour


class AtMost(StrEnum):
    """What an adversary may achieve at most.

    harmless: jobs are done with exact sums all the same, while the others are enough for a certificate. stalls: it may
    keep jobs that it takes part in from being done; they fail, are cancelled or wait, and say for whom.
    """

    HARMLESS = "harmless"
    STALLS = "stalls"


Cast = Callable[[int], list[MakeBehaviour]]
"""Makes so many of them; those of one cast may share a plot."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of adversary.

    does: in a sentence. cast: makes them. at_most: see there. convicted: by which evidence each of them ends up named,
    if it did its evil in a job that ran. colluders: how many it takes. long: whether it does evil only in long sums.
    submits: whether it does evil only at the hub that submits the job.
    """

    does: str
    cast: Cast
    at_most: AtMost = AtMost.HARMLESS
    convicted: frozenset[str] = frozenset()
    colluders: int = 1
    long: bool = False
    submits: bool = False


def _each(make: MakeBehaviour) -> Cast:
    """So many that know nothing of each other."""
    return lambda number: [make] * number


def _plotting(make: Callable[[colluders.Plot], colluders.Colluder]) -> Cast:
    """So many with one plot."""

    def cast(number: int) -> list[MakeBehaviour]:
        plot = colluders.Plot()
        return [lambda: make(plot)] * number

    return cast


def _submitter_and_holders(number: int) -> list[MakeBehaviour]:
    """One lies as a submitter, the others as holders, in one plot."""
    plot = colluders.Plot()

    def submitter() -> colluders.Combined:
        return colluders.Combined(submitters.CohortEquivocation(), colluders.LyingHolders(plot))

    return [submitter, *([lambda: colluders.LyingHolders(plot)] * (number - 1))]


_STALLS: Final = AtMost.STALLS
_HARMLESS: Final = AtMost.HARMLESS

ADVERSARIES: Final[dict[str, Entry]] = {
    # offers
    "offer_equivocation": Entry(
        "shows some members another key than the rest",
        _each(offers.OfferEquivocation),
        _STALLS,
        frozenset({"two_offers"}),
    ),
    "repeated_key": Entry("offers another member's key", _each(offers.RepeatedKey), _STALLS),
    "small_order": Entry("offers a key of low order, or one that is not canonical", _each(offers.WeakKey), _STALLS),
    # inconsistency
    "model_inconsistency": Entry(
        "signs over another history than the others'", _each(inconsistency.ModelInconsistency), _STALLS
    ),
    "context_inconsistency": Entry(
        "roots over a context that nobody else has, before some", _each(inconsistency.ContextInconsistency)
    ),
    "shape_inconsistency": Entry(
        "says that its vector has another length or bound", _each(inconsistency.ShapeInconsistency), _STALLS
    ),
    "vector_equivocation": Entry(
        "puts one vector in before some members and another before the rest",
        _each(inconsistency.VectorEquivocation),
        _STALLS,
    ),
    # rushing
    "rushing_member": Entry(
        "holds its root back and asks for the others' segments meanwhile", _each(rushing.RushingMember), _STALLS
    ),
    "rushing_holder": Entry(
        "waits with its segments and sums until it has the others'", _each(rushing.RushingHolder), long=True
    ),
    # segments
    "wrong_segment": Entry("spoils its segments on their way to some", _each(segments.WrongSegment), _STALLS),
    "short_segment": Entry("sends segments of another size", _each(segments.ShortSegment)),
    "holder_override": Entry("replaces its own segments once it knows a sum", _each(segments.HolderOverride), _STALLS),
    # holders
    "lying_holder": Entry(
        "signs false sums", _each(holders.LyingHolder), convicted=frozenset({"false_sum"}), long=True
    ),
    "equivocating_holder": Entry(
        "signs one sum for some and another for each of the rest", _each(holders.EquivocatingHolder), long=True
    ),
    "silent_holder": Entry("sums nothing for others", _each(holders.SilentHolder), long=True),
    "wrong_words": Entry("sends other words than those that it signed", _each(holders.WrongWords), long=True),
    # withholding
    "withheld_sum": Entry("learns the sum and keeps it, again and again", _each(withholding.WithheldSum), _STALLS),
    "withheld_vote": Entry("never votes", _each(withholding.WithheldVote)),
    # voting
    "two_votes": Entry("votes for two histories", _each(voting.TwoVotes)),
    "false_certificates": Entry("sends certificates that are none", _each(voting.FalseCertificates)),
    "false_sums": Entry("sends true certificates with false sums", _each(voting.FalseSums)),
    # jumping
    "attempt_jump": Entry("offers itself in attempts above the limit", _each(jumping.AttemptJump)),
    "jump_split": Entry("pulls one member up alone, in great leaps", _each(jumping.JumpSplit), _STALLS),
    "jump_flood": Entry("enters higher attempts all the time", _each(jumping.JumpFlood), _STALLS),
    # replaying
    "replay_old": Entry("sends old messages of anybody to anybody", _each(replaying.ReplayOld)),
    "replay_same_round": Entry("says everything several times", _each(replaying.ReplaySameRound)),
    "reflection": Entry("sends back to each what it said", _each(replaying.Reflection)),
    "misdirection": Entry("passes what one says to it on to another", _each(replaying.Misdirection)),
    "conflicting_duplicate": Entry(
        "signs everything twice, with two contents",
        _each(replaying.ConflictingDuplicate),
        _STALLS,
        frozenset({"two_offers"}),
    ),
    # garbage
    "garbage_vector": Entry("puts in words whose masks do not cancel", _each(garbage.GarbageMasks), _STALLS),
    "beyond_bound": Entry("puts in a coordinate beyond the bound", _each(garbage.BeyondBound), _STALLS),
    # silence
    "selective_silence": Entry("drops some messages to some", _each(silence.SelectiveSilence)),
    "shunning": Entry("never says anything of rounds to some", _each(silence.Shunning), _STALLS),
    "flapping": Entry("is there and away in turn", _each(silence.Flapping), _STALLS),
    "mute": Entry("joins and is not heard of in a round", _each(silence.Mute), _STALLS),
    # submitters
    "group_cut": Entry(
        "closes the collection without one who joined", _each(submitters.GroupCut), _STALLS, submits=True
    ),
    "false_members": Entry(
        "closes the collection with a decision that nobody made",
        _each(submitters.FalseMembers),
        _STALLS,
        submits=True,
    ),
    "cohort_equivocation": Entry(
        "signs two cohorts and tells some hubs of one and the rest of the other",
        _each(submitters.CohortEquivocation),
        _STALLS,
        submits=True,
    ),
    "second_job": Entry("proposes a second job on the same data that lacks one member", _each(submitters.SecondJob)),
    "version_bump": Entry("proposes that second job on another version of the data", _each(submitters.VersionBump)),
    "rival_job": Entry(
        "proposes a rival to each first job on a data set, at once", _each(submitters.RivalJob), _STALLS
    ),
    "cancel_in_the_middle": Entry(
        "cancels its own jobs while they run", _each(submitters.CancelInTheMiddle), _STALLS, submits=True
    ),
    "foreign_cancel": Entry("tries to cancel others' jobs", _each(submitters.ForeignCancel)),
    "false_outcome": Entry("lies about how a job ended", _each(submitters.FalseOutcome), _STALLS),
    # groups
    "other_group": Entry("signs another group than the others", _each(groups.OtherGroup), _STALLS),
    "late_group": Entry("signs its group late", _each(groups.LateGroup)),
    "never_group": Entry("never signs its group", _each(groups.NeverGroup), _STALLS),
    # records
    "forked_records": Entry("tells some one decision and the rest another", _each(records.ForkedRecords)),
    "record_flood": Entry("supersedes its own record all the time", _each(records.RecordFlood)),
    "decision_flood": Entry("decides again and again", _each(records.DecisionFlood), _STALLS),
    "forged_records": Entry("sends records in others' names", _each(records.ForgedRecords)),
    "malformed_records": Entry("signs records whose bodies are none", _each(records.MalformedRecords)),
    # anything
    "mutator": Entry("changes its messages of rounds at random", _each(mutator.Mutator), _STALLS),
    "record_mutator": Entry("changes its messages of records at random", _each(mutator.RecordMutator), _STALLS),
    # several
    "lying_holders": Entry(
        "sign the same false sums, all but one of the holders of a segment",
        _plotting(colluders.LyingHolders),
        convicted=frozenset({"false_sum"}),
        colluders=2,
        long=True,
    ),
    "two_worlds": Entry(
        "show one half of the others one set of keys and the other half another",
        _plotting(colluders.TwoWorlds),
        _STALLS,
        frozenset({"two_offers"}),
        colluders=2,
    ),
    "split_vote": Entry(
        "put one vector in before one half, another before the other, and vote for both sums",
        _plotting(colluders.SplitVote),
        _STALLS,
        colluders=2,
    ),
    "vote_for_both": Entry("vote for the true history and for another", _plotting(colluders.VoteForBoth), colluders=2),
    "submitter_and_holders": Entry(
        "one shows two cohorts, all sign the same false sums",
        _submitter_and_holders,
        _STALLS,
        colluders=2,
        submits=True,
    ),
}
"""All that there are. What names them is the case's name in the list of cases, where there is one."""
