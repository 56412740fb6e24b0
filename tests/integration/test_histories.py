"""Random histories of a real server, cut anywhere: what is restored is what there was, byte for byte.

One history is recorded, and a snapshot taken in the midst of it. Each cut then is a restore: to a random
position, of a random part, some without an event that was found. On paper (``support.paper``) a cut costs
milliseconds, with the server's own entries; on the server all of planning, loading, replay and cut-over is in
it, every other time side by side in small batches. The twin is ``support.naive``, which is held to the
server's state after every step of the history.

``MDR_HISTORY_SEED`` makes another history, ``MDR_HISTORY_ROUNDS`` so many cuts of it on paper, and a
twentieth of that on the server. What fails says its seed and its cut.
"""

from __future__ import annotations

import os
import random
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import bson
import pytest
from support import histories, twin
from support.jobs import restore_here
from support.paper import OnPaper, restore_on_paper
from support.prepared import prepare
from support.recorded import Cut, Recorded, in_scope, placed, position_of

from mongo_dr_console.engines.builtin import lanes, replay, replay_run
from mongo_dr_console.model.position import Bound
from mongo_dr_console.mongo.launch import Options, ReplicaSet

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

SEED = int(os.environ.get("MDR_HISTORY_SEED", "1"))
ROUNDS = int(os.environ.get("MDR_HISTORY_ROUNDS", "200"))


@pytest.fixture(scope="module")
def recorded(mongod: Path, sets_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    folder = tmp_path_factory.mktemp("history")
    options = Options(set_name="own", nodes=1, auth=False, parameters=histories.PARTS)
    made = ReplicaSet.launch(sets_folder / "history", options)
    (folder / "state").mkdir()
    with closing(made.client()) as client:
        yield Recorded(client, prepare(folder, made.uri, folder / "state"), SEED)
    made.close()


@pytest.fixture
def luck(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(f"{SEED} {request.node.name}")


def test_the_twin_reads_entries_as_the_server_does(recorded: Recorded) -> None:
    for step in recorded.history.steps[1:]:
        found = placed(recorded.after(bisect_right(recorded.positions, step.last)))
        wanted = {
            f"{database}.{name}": state
            for database, states in step.states.items()
            for name, state in states.items()
            if state[0] != "view"
        }
        assert found.keys() == wanted.keys(), f"seed {SEED}: after {step.name} {step.last}"
        for name, state in wanted.items():
            if not name.endswith(".weather"):
                assert found[name] == state[0], f"seed {SEED}: {name} after {step.name} {step.last}"


def test_an_event_is_whole_steps(recorded: Recorded) -> None:
    operations = [(position_of(raw), bson.decode(raw)) for raw in recorded.entries]
    for event in recorded.events:
        of_event = recorded.of_event(event)
        found = [at for at, operation in operations if of_event(at, operation)]
        assert (found[0], found[-1], len(found)) == (event.position, event.last, event.operations), event


def on_paper(recorded: Recorded, cut: Cut) -> OnPaper:
    selectors = [cut.event.selector] if cut.event else []
    # Not much more than is needed: a cut shall cost little.
    later = recorded.later[: bisect_right(recorded.later_positions, cut.limit.position) + 5]
    return restore_on_paper(
        recorded.snapshot, recorded.window_end, later, cut.limit, scope=cut.scope, skipped=selectors
    )


def test_every_cut_on_paper(recorded: Recorded, luck: random.Random) -> None:
    for _ in range(ROUNDS):
        cut = recorded.a_cut(luck)
        twin_ = recorded.twin_at(cut)
        wanted = {n: d for n, d in placed(twin_).items() if in_scope(cut.scope, n)}
        found = on_paper(recorded, cut)
        assert {n: s[0] for n, s in found.collections.items()} == wanted, str(cut)
        views = {n: bson.decode(v) for n, v in twin_.views.items() if in_scope(cut.scope, n)}
        assert {n: bson.decode(v) for n, v in found.views.items()} == views, str(cut)


def test_cuts_on_the_server(recorded: Recorded, luck: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    lanes_used = []
    split = lanes.split

    def watched(writes: Any, count: int) -> lanes.Split:
        found = split(writes, count)
        lanes_used.append(len(found.lanes) + len(found.inserts))
        return found

    monkeypatch.setattr(replay, "split", watched)
    rounds = max(2, ROUNDS // 20)
    for number in range(rounds):
        cut = recorded.a_cut(luck)
        with monkeypatch.context() as patched:
            if number % 2:
                side_by_side(patched)
            check_on_the_server(recorded, cut)
    assert any(n > 1 for n in lanes_used), "nothing went side by side"


def side_by_side(patch: pytest.MonkeyPatch) -> None:
    """However few writes there are between two commands, in lanes; and several chunks and batches of them."""
    patch.setattr(replay_run, "CHUNK_ACTIONS", 100)
    patch.setattr(replay, "BATCH_OPERATIONS", 10)
    patch.setattr(replay, "FEW", 0)
    patch.setattr(replay, "ATOMIC_LANES", 4)


def check_on_the_server(recorded: Recorded, cut: Cut) -> None:
    twin_ = recorded.twin_at(cut)
    wanted = {n: d for n, d in placed(twin_).items() if in_scope(cut.scope, n)}
    wanted_views = {n for n in twin_.views if in_scope(cut.scope, n)}
    if not wanted and not wanted_views:
        return
    scope = tuple(s for s in cut.scope if any(in_scope((s,), n) for n in [*wanted, *wanted_views]))
    there = {database: f"{database}_there" for database in recorded.history.databases}
    used = {n.partition(".")[0] for n in [*wanted, *wanted_views]}
    bound = {"through" if cut.limit.bound is Bound.THROUGH else "before": str(cut.limit.position)}
    try:
        restore_here(
            recorded.prepared,
            snapshot=recorded.name,
            namespaces=scope,
            renames=tuple(f"{d}={t}" for d, t in there.items() if d in used),
            mode="beside",
            skip=(cut.event.id,) if cut.event else (),
            **bound,
        )
        compare(recorded, cut, wanted, wanted_views, there)
    except Exception as error:
        raise AssertionError(str(cut)) from error
    finally:
        for target in there.values():
            recorded.client.drop_database(target)


def compare(
    recorded: Recorded, cut: Cut, wanted: dict[str, list[bytes]], views: set[str], there: dict[str, str]
) -> None:
    found = {
        f"{database}.{name}": state
        for database, target in there.items()
        for name, state in twin.state_of(recorded.client, target).items()
    }
    assert {n for n, s in found.items() if s[0] == "view"} == views
    assert {n for n, s in found.items() if s[0] != "view"} == wanted.keys()
    place = recorded.step_of(cut.limit.position)
    near = [s.states for s in recorded.history.steps[max(0, place - 1) : place + 1]]
    for name, documents in wanted.items():
        database, _, collection = name.partition(".")
        if collection == "weather":
            assert buckets_of(recorded.client, there[database]) == documents, name
        else:
            assert found[name][0] == documents, name
        defined = [states[database][collection][1:] for states in near if collection in states[database]]
        if defined and cut.event is None:
            assert found[name][1:] in defined, name


def buckets_of(client: Any, database: str) -> list[bytes]:
    raw = client[database].get_collection("system.buckets.weather", codec_options=histories.RAW)
    return sorted(bytes(d.raw) for d in raw.find())
