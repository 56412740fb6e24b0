"""The walk to a restore without a screen: when a step is complete, what is proposed, the intent it makes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.readingkit import ELSEWHERE, HERE, NOW, at, coverage, live, oplog, readings, snapshot
from support.states import error, event, events
from support.wizardkit import DELETE, DROP, incident

from mongo_dr_console.cli.restore_options import Wanted
from mongo_dr_console.model import coverage as covering
from mongo_dr_console.model.catalogue import Verification
from mongo_dr_console.model.event import EventSelector
from mongo_dr_console.model.position import Bound, Limit
from mongo_dr_console.model.trouble import Failed, WrongUse
from mongo_dr_console.model.wizard import (
    Base,
    Known,
    Step,
    WizardState,
    intent,
    kept_renames,
    known,
    lost,
    problem,
    propose_base,
    propose_renames,
    propose_scope,
    propose_way,
    reach,
    settle,
    stops_at,
    summary,
    with_base,
)
from mongo_dr_console.model.wizardscope import (
    Scope,
    is_ticked,
    name_problem,
    partly_ticked,
    scope_of,
    toggled,
)
from mongo_dr_console.model.words import moment

ORDERS = Scope(names=frozenset({"shop.orders"}))
OLD, NEW = snapshot(5400), snapshot(900)
CONTENTS = ("crm.people", "shop.customers", "shop.orders")


def facts(*snapshots: Any, **changes: Any) -> Known:
    held = snapshots or (NEW, OLD)
    given: dict[str, Any] = {
        "now": NOW,
        "events": (DELETE, DROP),
        "snapshots": held,
        "coverage": coverage(*held),
    }
    return Known(**(given | changes))


def typed(text: str, bound: Bound = Bound.BEFORE, **changes: Any) -> WizardState:
    return WizardState(way="time", text=text, bound=bound, scope=ORDERS, **changes)


class TestIntent:
    """The same as the options of ``mdr restore plan`` would make."""

    def test_an_event_that_is_left_out(self) -> None:
        state = with_base(WizardState(event=DROP, scope=ORDERS), facts())
        wanted = Wanted(snapshot="s5400", store="local", skip=[DROP.id], ns=["shop.orders"]).intent()
        assert intent(state) == wanted

    def test_back_to_before_an_event(self) -> None:
        state = WizardState(event=DROP, keep_later=False, scope=Scope(everything=True), mode="in-place")
        wanted = Wanted(before=f"event:{DROP.id}", mode="in-place").intent()
        assert intent(state) == wanted

    def test_merging_what_an_event_hit(self) -> None:
        state = with_base(WizardState(event=DROP, scope=ORDERS, mode="merge"), facts())
        wanted = Wanted(
            snapshot="s5400", store="local", skip=[DROP.id], ns=["shop.orders"], mode="merge"
        ).intent()
        assert intent(state) == wanted and problem(state, Step.WHERE, facts()) == ""

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"keep_later": False}, "a way back"),
            ({"way": "time", "text": "latest"}, "no event is chosen"),
            ({"way": "snapshot"}, "no event is chosen"),
            ({"event": None}, "no event is chosen"),
            ({"target": "drill"}, "the deployment that the event hit"),
        ],
    )
    def test_merge_is_for_an_event_that_is_left_out(self, changes: Any, why: str) -> None:
        state = replace(WizardState(event=DROP, scope=ORDERS, mode="merge"), **changes)
        assert why in problem(state, Step.WHERE, facts())

    def test_through_a_time_beside_into_another_deployment(self) -> None:
        state = typed(
            " 2026-11-18T11:00:00Z ",
            Bound.THROUGH,
            mode="beside",
            renames=("shop.orders=shop.orders_restored",),
            target="drill",
        )
        wanted = Wanted(
            through="2026-11-18T11:00:00Z",
            ns=["shop.orders"],
            rename=["shop.orders=shop.orders_restored"],
            to="drill",
            mode="beside",
        ).intent()
        assert intent(state) == wanted

    def test_the_snapshot_as_it_is(self) -> None:
        state = WizardState(way="snapshot", event=DROP, text="-10m", base=Base("s900", "local"), scope=ORDERS)
        wanted = Wanted(snapshot="s900", store="local", ns=["shop.orders"]).intent()
        assert intent(state) == wanted

    def test_new_names_are_for_beside_only(self) -> None:
        assert intent(typed("latest", renames=("shop.orders=a.b",))).renames == ()

    def test_ten_minutes_ago_is_a_fixed_time_once_the_step_is_left(self) -> None:
        state = typed("-10m")
        state = replace(state, settled=settle(state, facts()))
        assert intent(state).before == moment(at(600).time)
        assert settle(typed("latest"), facts()) == settle(typed("1795000000:1"), facts()) == ""

    def test_no_scope_is_no_intent_for_everything(self) -> None:
        with pytest.raises(WrongUse, match="Nothing is chosen"):
            intent(WizardState(event=DROP))


class TestWhen:
    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "No time is said yet"),
            ("soon", "not a time"),
            ("2026-11-18T11:00:00", "has no offset"),
            ("2026-11-18T11:00:00.5Z", "fraction of a second"),
            ("event:nope", "There is no event"),
            ("2027-01-01T00:00:00Z", "lies in the future"),
            ("-3h", "The oldest point that can be restored to"),
            ("-10m", ""),
            (f"{at(600)}", ""),
            (f"event:{DROP.id}", ""),
            ("latest", ""),
        ],
    )
    def test_a_text(self, text: str, says: str) -> None:
        why = problem(with_base(typed(text), facts()), Step.WHEN, facts())
        assert says in why if says else why == ""

    def test_an_event_must_be_chosen(self) -> None:
        assert "No event is chosen" in problem(WizardState(), Step.WHEN, facts())
        assert problem(with_base(WizardState(event=DROP), facts()), Step.WHEN, facts()) == ""

    def test_an_event_that_no_snapshot_ends_before(self) -> None:
        one = facts(NEW)
        why = problem(with_base(WizardState(event=DROP), one), Step.WHEN, one)
        assert "oldest point" in why

    def test_a_base_that_was_chosen_must_end_before_the_limit(self) -> None:
        state = WizardState(event=DROP, base=Base("s900", "local"), base_chosen=True)
        why = problem(with_base(state, facts()), Step.WHEN, facts())
        assert "Snapshot s900 cannot be the base" in why and "Choose another one with c" in why

    def test_in_a_gap_it_says_why(self) -> None:
        gapped = (snapshot(90_000), snapshot(3600))
        seen = facts(*gapped, coverage=covering.build(gapped, live(7200, *gapped), now=NOW, oplog=oplog()))
        why = reach(Limit(at(40_000), Bound.BEFORE), seen)
        assert "lies in a gap" in why and "oplog that followed is gone" in why

    def test_newer_than_the_reading_is_left_to_the_planning(self) -> None:
        seen = facts(now=at(-20).time)
        assert reach(Limit(at(-10), Bound.THROUGH), seen) == ""

    def test_where_coverage_is_not_known_planning_decides(self) -> None:
        assert reach(Limit(at(999_999), Bound.BEFORE), facts(coverage=None)) == ""


class TestBase:
    def test_the_newest_that_ends_before_the_event(self) -> None:
        assert propose_base(WizardState(event=DROP), facts()) == Base("s5400", "local")
        assert propose_base(WizardState(event=DELETE), facts()) == Base("s900", "local")
        assert propose_base(WizardState(way="snapshot"), facts()) == Base("s900", "local")

    @pytest.mark.parametrize(
        "changes",
        [
            {"window": None},
            {"problem": Failed("snapshot-unfinished", "It was not finished.")},
            {"verification": Verification(2, NOW, False)},
            {"identity": ELSEWHERE},
            {"scope": ("shop",)},
        ],
    )
    def test_what_cannot_bring_all_back_is_not_proposed(self, changes: dict[str, Any]) -> None:
        bad = snapshot(900, **changes)
        seen = facts(bad, OLD, coverage=coverage(OLD))
        assert seen.identity == HERE
        assert propose_base(WizardState(event=DELETE), seen) == Base("s5400", "local")

    def test_a_verified_copy_is_better(self) -> None:
        good = snapshot(900, store="s3", verification=Verification(2, NOW, True))
        assert propose_base(WizardState(event=DELETE), facts(NEW, good)) == Base("s900", "s3")

    def test_a_person_s_choice_stays(self) -> None:
        state = WizardState(event=DELETE, base=Base("s5400", "local"), base_chosen=True)
        assert with_base(state, facts()).base == Base("s5400", "local")
        assert with_base(replace(state, base_chosen=False), facts()).base == Base("s900", "local")

    def test_nothing_is_known(self) -> None:
        nothing = Known(NOW)
        state = with_base(WizardState(event=DROP), nothing)
        assert state.base is None and problem(state, Step.WHEN, nothing) == ""


def test_what_is_lost() -> None:
    assert "Nothing is lost" in lost(WizardState(event=DROP), facts())
    assert "Goes back 19m" in lost(WizardState(event=DROP, keep_later=False), facts())
    assert "Goes back 15m" in lost(WizardState(way="snapshot", base=Base("s900", "local")), facts())
    assert "Nothing is lost" in lost(typed("latest", Bound.THROUGH), facts())
    with pytest.raises(WrongUse):
        lost(WizardState(), facts())


def test_what_is_left_out_counts_as_the_limit_for_the_base() -> None:
    assert stops_at(WizardState(event=DROP), facts()) == Limit(DROP.position, Bound.BEFORE)
    assert stops_at(WizardState(way="snapshot"), facts()) is None


def test_what_is_known_comes_from_the_readings_newest_first() -> None:
    seen = known(incident(), NOW)
    assert [e.id for e in seen.events] == [DELETE.id, DROP.id]
    assert [s.name for s in seen.snapshots] == ["20261122_020140", "20261122_004640"]
    assert known(readings(events=events()), NOW).events == ()


def test_an_event_of_long_ago_is_known_where_the_walk_began_with_it() -> None:
    old = event("01d", 3 * 86_400, "shop.orders")
    seen = known(incident(), NOW, old)
    assert [e.id for e in seen.events] == [DELETE.id, DROP.id, "01d"] and "01d" not in seen.answered
    assert known(incident(), NOW, DROP).events == known(incident(), NOW).events


class TestGone:
    """No member answers."""

    def test_all_that_is_kept_is_proposed(self) -> None:
        state = propose_way(WizardState(), facts(down=True))
        assert (state.way, state.text, state.bound) == ("time", "latest", Bound.THROUGH)
        assert propose_scope(state, facts(down=True)) == Scope(everything=True)
        assert propose_scope(state, facts()) == Scope()
        assert propose_way(WizardState(), facts()).way == "event"

    def test_only_into_another_deployment(self) -> None:
        state = typed("latest", Bound.THROUGH)
        assert "does not answer" in problem(state, Step.WHERE, facts(down=True))
        assert problem(replace(state, target="new"), Step.WHERE, facts(down=True)) == ""
        assert known(error(), NOW).down and not known(incident(), NOW).down


class TestScope:
    def test_what_the_event_hit_is_proposed(self) -> None:
        assert scope_of(DROP) == ORDERS
        database = event(
            "1",
            60,
            "shop.*",
            "drop-database",
            selector=EventSelector(
                first=at(60), last=at(60), op="c", namespaces=("shop.orders", "shop.$cmd")
            ),
        )
        assert scope_of(database) == Scope(names=frozenset({"shop"}))

    def test_a_collection_is_ticked_and_not(self) -> None:
        once = toggled(Scope(), "shop.orders", CONTENTS)
        assert once == ORDERS and toggled(once, "shop.orders", CONTENTS) == Scope()

    def test_a_database_takes_its_collections_in(self) -> None:
        assert toggled(ORDERS, "shop", CONTENTS) == Scope(names=frozenset({"shop"}))

    def test_one_out_of_a_whole_database_or_of_everything(self) -> None:
        assert toggled(Scope(names=frozenset({"shop"})), "shop.orders", CONTENTS).patterns == (
            "shop.customers",
        )
        left = toggled(Scope(everything=True), "shop.orders", CONTENTS)
        assert left.patterns == ("crm", "shop.customers")

    def test_ticks(self) -> None:
        assert is_ticked(ORDERS, "shop.orders") and not is_ticked(ORDERS, "shop")
        assert partly_ticked(ORDERS, "shop") and not partly_ticked(ORDERS, "crm")
        assert is_ticked(Scope(names=frozenset({"shop"})), "shop.orders")

    def test_patterns(self) -> None:
        assert Scope(everything=True, names=frozenset({"a"})).patterns == ()
        assert Scope(names=frozenset({"shop", "shop.orders", "crm.x"})).patterns == ("crm.x", "shop")

    @pytest.mark.parametrize("name", ["", "admin", "shop.", ".x", "shop.system.views", "mongo_dr.locks"])
    def test_names_that_are_none(self, name: str) -> None:
        assert name_problem(name)

    @pytest.mark.parametrize("name", ["shop", "shop.orders", "db[/].a.b", "日本.語"])
    def test_names(self, name: str) -> None:
        assert name_problem(name) == ""

    def test_something_must_be_ticked(self) -> None:
        assert problem(WizardState(), Step.SCOPE, facts()) and not problem(
            WizardState(scope=ORDERS), Step.SCOPE, facts()
        )


class TestWhere:
    @pytest.mark.parametrize(
        ("renames", "says"),
        [
            (("shop.orders=shop.orders_restored",), ""),
            ((), ""),
            (("shop.orders=",), "is no new name"),
            (("shop.orders=shop",), "is no new name"),
            (("shop.orders=shop.orders",), "would keep its name"),
            (("shop.orders=admin.x",), "cannot be a name"),
            (("shop.orders=local.x",), "cannot be a name"),
            (("shop.orders=a.x", "shop.items=a.x"), "Two would become"),
        ],
    )
    def test_new_names(self, renames: tuple[str, ...], says: str) -> None:
        why = problem(WizardState(mode="beside", renames=renames), Step.WHERE, facts())
        assert says in why if says else why == ""
        assert problem(WizardState(mode="swap", renames=renames), Step.WHERE, facts()) == ""

    def test_what_was_typed_stays_for_names_that_are_still_in_the_scope(self) -> None:
        both = Scope(names=frozenset({"shop.orders", "crm"}))
        assert kept_renames(both, ("shop.orders=a.b", "gone.x=gone.y")) == (
            "crm=crm_restored",
            "shop.orders=a.b",
        )
        assert propose_renames(Scope(everything=True)) == ()


def test_summaries_are_short() -> None:
    assert summary(WizardState(event=DROP), Step.WHEN) == "skip drop"
    assert summary(typed("-10m"), Step.WHEN) == "before -10m"
    assert summary(WizardState(scope=ORDERS), Step.SCOPE) == "shop.orders"
    assert summary(WizardState(target="drill"), Step.WHERE) == "swap into drill"
