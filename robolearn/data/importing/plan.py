"""Says which episodes a log holds and how each is read: from its own marks, or from a mapping file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robolearn import checks
from robolearn.contract import Contract
from robolearn.data.episode import Source
from robolearn.data.importing.bag import Bag, clock_jumps, open_bag
from robolearn.data.importing.place import Place
from robolearn.data.importing.read import Report
from robolearn.data.importing.recipe import Job, Recipe, Span, Topics
from robolearn.errors import InputError, choose
from robolearn.hardware.episodes import ACTION_SOURCES
from robolearn.hardware.recording.messages import JOINT_STATE, STRING
from robolearn.hardware.recording.reader import LogMessage
from robolearn.hardware.recording.topics import EPISODE, FILTERED, IMAGE_TYPES, MONITOR, REQUESTED, SENT
from robolearn.hardware.station import Station, load_station, station_names
from robolearn.hardware.wire import SECOND, EpisodeMark

LONGEST = 600 * SECOND
"""An episode of which nobody marked the end lasts no longer [ns]."""

_OURS = {"requested": REQUESTED, "filtered": FILTERED, "sent": SENT, "monitor": MONITOR}

_SOURCES = {
    "policy": Source.POLICY,
    "teacher": Source.TEACHER,
    "operator": Source.OPERATOR,
    "none": Source.OPERATOR,
}


@dataclass(frozen=True)
class Options:
    """What a person says of logs of our own.

    Attributes:
        contract: what the episodes are for, in place of the one in the log.
        station: where they were recorded, in place of the one in the log.
        unlabelled: whether episodes in which nobody commanded torques are wanted, too.
    """

    contract: Contract | None = None
    station: Station | None = None
    unlabelled: bool = False


@dataclass(frozen=True)
class Plan:
    """What a log holds.

    Attributes:
        jobs: its episodes.
        refused: those that cannot be read, and why.
        notes: what is to be known of the log as a whole, in words.
    """

    jobs: list[Job] = field(default_factory=list)
    refused: list[Report] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def origin_of(path: Path) -> str:
    """A log's name, wherever it lies."""
    return path.resolve().name.removesuffix(".mcap").removesuffix(".db3")


def plan_log(path: Path, options: Options) -> Plan:
    """The episodes of a log of our own, by its marks.

    Raises:
        InputError: there is no log, it is empty, or has no marks of ours.
        OSError: it cannot be read.
    """
    bag = open_bag(path)
    notes = notes_of(bag)
    entry = bag.topics.get(EPISODE)
    marks, unreadable = _marks(bag) if entry is not None and entry.type == STRING else ([], 0)
    if unreadable:
        notes.append(f"{unreadable} messages of {EPISODE} are no marks")
    if not marks:
        raise InputError(
            f"log {path} has no episode marks of ours on {EPISODE}: give a mapping file with --map; "
            f"`robolearn data inspect {path}` proposes one"
        )
    plan = Plan(notes=notes)
    blind = tuple(clock_jumps(bag))
    places: dict[str, Place] = {}
    for begun, ended in _pairs(marks, _last_time(bag)):
        name = (begun or ended)[1].episode  # type: ignore[index]
        try:
            if begun is None:
                raise InputError("its beginning is not in the log")
            span, recipe = _understand(bag, path, begun, ended, options, places)
            _check_topics(bag, recipe)
        except InputError as error:
            plan.refused.append(Report(origin_of(path), name, refused=str(error)))
        else:
            plan.jobs.append(Job(path, origin_of(path), span, recipe, blind))
    return plan


def notes_of(bag: Bag) -> list[str]:
    """What is to be known of a log as a whole.

    Raises:
        InputError: it holds no messages.
    """
    if not sum(bag.counts.values()):
        why = "".join(f"; {loss.file}: {loss.reason}" for loss in bag.losses)
        raise InputError(f"log {bag.path} holds no messages{why}")
    notes = [f"{loss.file}: {loss.reason}" for loss in bag.losses]
    for start, end in clock_jumps(bag):
        notes.append(
            f"the recorder's clock was set back by {(end - start) / SECOND:.3f} s: what was recorded in that "
            "time, before or after, is left out"
        )
    return notes


def check_type(bag: Bag, topic: str, wanted: tuple[str, ...], what: str) -> None:
    """Raise an InputError where a topic is missing, empty or of another type."""
    if topic not in bag.topics:
        there = ", ".join(sorted(bag.topics))
        raise InputError(f"{what} is to be on {topic}, which is not in the log; its topics are {there}")
    if (kind := bag.topics[topic].type) not in wanted:
        raise InputError(f"{what} on {topic} is a {kind}; it must be a {' or a '.join(wanted)}")
    if not len(bag.written(topic)):
        raise InputError(f"{what} on {topic} has no messages")


Mark = tuple[int, EpisodeMark]
"""A mark, and when it was recorded [ns]."""


def _marks(bag: Bag) -> tuple[list[Mark], int]:
    """The marks in a log, and how many messages in their place are none."""
    marks: list[Mark] = []
    unreadable = 0
    for message in bag.messages([EPISODE]):
        try:
            marks.append((message.log_time, _mark(message)))
        except InputError:
            unreadable += 1
    return marks, unreadable


def _mark(message: LogMessage) -> EpisodeMark:
    mark = message.record()
    assert isinstance(mark, EpisodeMark)
    return mark


def _last_time(bag: Bag) -> int:
    return max(int(bag.written(topic).max()) for topic in bag.topics if len(bag.written(topic)))


def _pairs(marks: list[Mark], last: int) -> list[tuple[Mark | None, Mark | None]]:
    """Beginnings with their ends. The end of one that was never marked is the next beginning, or `last`."""
    pairs: list[tuple[Mark | None, Mark | None]] = []
    begun: Mark | None = None
    known: set[tuple[str, str, int]] = set()
    for time, mark in marks:
        if (mark.kind, mark.episode, mark.stamp) in known:  # a latched mark comes again to who listens late
            continue
        known.add((mark.kind, mark.episode, mark.stamp))
        same = begun is not None and begun[1].episode == mark.episode
        if mark.kind == "end":
            pairs.append((begun if same else None, (time, mark)))
            begun = None if same else begun
        elif not same:
            if begun is not None:
                pairs.append((begun, _lost_end(begun, time)))
            begun = time, mark
    if begun is not None:
        pairs.append((begun, _lost_end(begun, last)))
    return pairs


def _lost_end(begun: Mark, time: int) -> Mark:
    body = {**begun[1].body, "outcome": {"success": False, "reason": "cut"}, "judged_by": "nobody"}
    return min(time, begun[0] + LONGEST), EpisodeMark(time, "end", begun[1].episode, body)


def _understand(
    bag: Bag,
    path: Path,
    begun: Mark,
    ended: Mark | None,
    options: Options,
    places: dict[str, Place],
) -> tuple[Span, Recipe]:
    """An episode between two marks."""
    assert ended is not None
    (begin, first), (end, last) = begun, ended
    body = first.body
    contract = _contract(body, options)
    place = Place.of(options.station) if options.station else _place(path, body, contract, places)
    action_source = choose("action source", str(body.get("action_source", "policy")), ACTION_SOURCES)
    labelled = action_source != "none"
    if not labelled and not options.unlabelled:
        raise InputError(
            "nobody commanded torques in it (action_source none): nothing can be learned from what was done; "
            "--unlabelled takes what was seen"
        )
    outcome = checks.mapping("outcome", last.body.get("outcome"))
    checks.flag("success of the outcome", outcome.get("success"))
    checks.text("reason of the outcome", outcome.get("reason"))
    seed = body.get("seed")
    setup = body.get("setup")
    span = Span(
        name=first.episode,
        begin=begin,
        end=end,
        task=checks.text("task of the mark", body.get("task")),
        seed=None if seed is None else checks.whole("seed of the mark", seed, 0),
        policy=str(body.get("bundle") or ("" if action_source == "policy" else action_source)),
        outcome=outcome,
        judged_by=str(last.body.get("judged_by", "")),
        notes=str(last.body.get("notes", "")),
        versions={str(k): str(v) for k, v in checks.mapping("versions", body.get("versions", {})).items()},
        setup=checks.mapping("setup", setup) if isinstance(setup, dict) else {},
    )
    return span, _recipe(bag, contract, place, _SOURCES[action_source], labelled)


def _contract(body: dict[str, Any], options: Options) -> Contract:
    """The contract that an episode ran under, or the one that is asked for in its place."""
    own = None if body.get("requires") is None else Contract.from_dict(body["requires"])
    known = str(body.get("contract") or "")
    if options.contract is None:
        if own is None:
            raise InputError(
                f"the log does not carry its contract ({known[:12] or 'no policy acted'}): give --bundle or "
                "--contract"
            )
        return own
    given = options.contract
    if own is None and known and known != given.hash:
        raise InputError(
            f"it ran under contract {known[:12]}, which is not in the log; the one given is {given.hash[:12]}"
        )
    if own is not None:  # another view of the same episode
        for name in ("arm", "joints", "action", "control_rate"):
            if getattr(own, name) != getattr(given, name):
                wanted, ran = getattr(given, name), getattr(own, name)
                raise InputError(f"{name} of the contract given is {wanted}; it ran under {ran}")
    return given


def _place(path: Path, body: dict[str, Any], contract: Contract, known: dict[str, Place]) -> Place:
    """Where an episode was recorded: as its mark describes it, or the shipped station that it names."""
    setup, name = body.get("setup"), str(body.get("station") or "")
    if isinstance(setup, dict):
        key = repr(setup)
        if key not in known:
            known[key] = Place.described(path, setup)
        return known[key]
    if name not in station_names():
        raise InputError(f"the log does not describe its station {name!r}: give --station")
    station = load_station(name)
    return Place.of(station.with_cameras_of(contract) if station.simulated else station)


def _recipe(bag: Bag, contract: Contract, place: Place, source: Source, labelled: bool) -> Recipe:
    wiring = place.wiring(contract)
    topics = Topics(
        states=place.states,
        cameras={camera.topic: camera.name for camera in wiring.cameras},
        **{name: topic for name, topic in _OURS.items() if topic in bag.topics and len(bag.written(topic))},
    )
    return Recipe(contract, wiring, place.arm, place.joint_names, topics, source, labelled)


def _check_topics(bag: Bag, recipe: Recipe) -> None:
    """Raise an InputError where the log lacks what no episode can be made without."""
    for topic in recipe.topics.states:
        check_type(bag, topic, (JOINT_STATE,), "the joint state")
    for topic, camera in recipe.topics.cameras.items():
        check_type(bag, topic, tuple(IMAGE_TYPES.values()), f"camera {camera}")
    if recipe.labelled and not (recipe.topics.requested and (recipe.topics.filtered or recipe.topics.sent)):
        raise InputError(
            f"it has no torques to learn from: the log must have {REQUESTED}, and {FILTERED} or {SENT}"
        )
