"""The dashboard's panels as lines: nothing is wider than it may be, nothing that matters is cut."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.readingkit import LIMITS, NOW, at, coverage, live, oplog, reading, snapshot, store
from support.states import MEMBERS, ODD_DATABASE, RTL, STATES, event, events, fine, job

from mongo_dr_console.model import coverage as covering
from mongo_dr_console.model.oplogfacts import MemberLag
from mongo_dr_console.model.panel import Panel, Row
from mongo_dr_console.model.present import present
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.verdict import Level, verdict
from mongo_dr_console.ui.bannerline import banner, further, numbers, sources_live, verdict_rows
from mongo_dr_console.ui.frame import framed
from mongo_dr_console.ui.lagring import GAP, KEPT, LagRing, history
from mongo_dr_console.ui.lines import Line, line
from mongo_dr_console.ui.panelbodies import body, short_names
from mongo_dr_console.ui.panels import Body, Item, body_of, filtered, laid_out, stale_marked
from mongo_dr_console.ui.tabline import lower_hint, tab_line, tab_word
from mongo_dr_console.ui.view import View

HALF, SMALL = 56, 76
"""Widths inside of a frame, at 120 and at 80 columns."""


def view(readings: Readings | None = None, **changes: object) -> View:
    known = readings or fine()
    made = View(known, verdict(known, LIMITS, NOW), LIMITS, NOW, granted="restore", armed_seconds=None)
    return replace(made, **changes)  # type: ignore[arg-type]


def panels(shown: View, most: int = 200) -> dict[str, Panel]:
    found = present(shown.readings, shown.verdict, shown.limits, shown.now, most=most)
    return {panel.source: panel for panel in found}


def made(
    number: int, readings: Readings | None = None, width: int = HALF, ring: LagRing | None = None
) -> Body:
    shown = view(readings)
    return body(number, shown, panels(shown), ring or LagRing().noted(shown.readings.set), width)


def text(found: Body, *, folded: bool = False) -> str:
    rows = [row.text for row in found.head] + [row.text for item in found.items for row in item.lines]
    return " ".join(" ".join(rows).split()) if folded else "\n".join(rows)


# Every panel


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("number", range(1, 7))
@pytest.mark.parametrize("width", [8, 20, HALF, SMALL, 116, 200])
def test_a_panel_keeps_its_width_in_every_state(state: str, number: int, width: int) -> None:
    found = made(number, STATES[state](), width)
    for row in (*found.head, *(row for item in found.items for row in item.lines)):
        for span, _ in row.spans:
            assert span.isprintable(), repr(span)
    if width >= 20:
        drawn = framed(line("t"), Line(), laid_out(found, 30, 0).lines, width + 4, 32)
        assert {row.width for row in drawn} == {width + 4}


@pytest.mark.parametrize("number", range(1, 7))
def test_before_the_first_answer_a_panel_says_that_and_claims_nothing(number: int) -> None:
    found = made(number, STATES["empty"]())
    assert text(found, folded=True) == "? has not answered yet"
    assert found.level is Level.UNKNOWN


@pytest.mark.parametrize("number", range(1, 7))
def test_a_source_that_fails_says_why_which_attempt_and_when_again(number: int) -> None:
    found = made(number, STATES["stale"]())
    words = text(found, folded=True)
    assert "attempt 6, next try 11:06:48Z, last value of 11:05:59Z" in words
    assert words.startswith("✗ ")


# Replica set


def test_the_set_shows_states_lag_and_whom_they_copy_from() -> None:
    words = text(made(1), folded=True)
    assert f"✓ {MEMBERS[0]} PRIMARY - -" in words
    assert f"✓ {MEMBERS[2]} SECONDARY 1s mongo-2" in words
    assert "term 14, majority needs 2, has 3 (ok)" in words


def test_what_jitters_is_not_shown() -> None:
    known = fine()
    assert known.set is not None and known.set.value is not None
    jittered = tuple(
        replace(m, ping_ms=(m.ping_ms or 0) * 3, heartbeat_age_seconds=1.9) for m in known.set.value.members
    )
    other = replace(known, set=replace(known.set, value=replace(known.set.value, members=jittered)))
    assert text(made(1, other)) == text(made(1, known))


def test_a_member_that_is_silent_says_since_when() -> None:
    words = text(made(1, STATES["warning"]()))
    assert "HEARD" in words and "41s" in words and "DOWN" in words
    assert "HEARD" not in text(made(1))


def test_of_a_set_that_does_not_answer_every_value_is_doubtful() -> None:
    words = text(made(1, STATES["stale"]()), folded=True)
    assert f"? {MEMBERS[0]} ?PRIMARY" in words and "?SECONDARY ?1s ?mongo-2" in words
    assert " PRIMARY" not in words.replace("? ", "")


def test_names_lose_what_they_have_in_common_and_never_more() -> None:
    assert short_names(["10.0.0.1:27017", "10.0.0.2:27017"]) == {
        "10.0.0.1:27017": "10.0.0.1",
        "10.0.0.2:27017": "10.0.0.2",
    }
    assert short_names(["a.x:1", "a.y:1"]) == {"a.x:1": "a.x", "a.y:1": "a.y"}
    assert short_names(["a:1", "a:2"]) == {"a:1": "a:1", "a:2": "a:2"}


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=5, unique=True))
def test_short_names_never_mix_up_two(names: list[str]) -> None:
    assert len(set(short_names(names).values())) == len(names)


# Lag and oplog


def test_the_lag_row_has_a_scale_that_its_values_do_not_move() -> None:
    assert history((600.0,) * 5, 10.0, 5) == "█████"
    assert history((0.0, 0.0, 10.0), 10.0, 3) == history((0.0,) * 2 + (10.0,), 10.0, 3) == "▁▁█"
    assert history((None, 1.0), 10.0, 4) == f"  {GAP}▁"


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6)), max_size=200), st.integers(0, 80))
def test_a_history_is_as_wide_as_asked(values: list[float | None], width: int) -> None:
    assert len(history(tuple(values), 60.0, width)) == width


def test_the_ring_keeps_the_newest_and_a_failed_reading_is_a_gap() -> None:
    ring = LagRing()
    known = fine().set
    assert known is not None
    for second in range(KEPT + 10):
        ring = ring.noted(replace(known, tried_at=NOW + timedelta(seconds=second)))
    assert {len(values) for values in ring.values.values()} == {KEPT}
    same = ring.noted(replace(known, tried_at=NOW + timedelta(seconds=KEPT + 9)))
    assert same is ring
    failed = STATES["stale"]().set
    assert failed is not None
    after = ring.noted(replace(failed, tried_at=NOW + timedelta(hours=1)))
    assert all(values[-1] is None and values[-2] == ring.values[n][-1] for n, values in after.values.items())


def test_a_member_that_comes_later_begins_with_gaps() -> None:
    known = fine().set
    assert known is not None and known.value is not None
    fewer = replace(known, value=replace(known.value, members=known.value.members[:2]))
    ring = LagRing().noted(fewer).noted(replace(known, tried_at=NOW + timedelta(seconds=2)))
    assert ring.values[MEMBERS[2]] == (None, 1.1)


def test_lag_over_a_limit_is_marked_with_its_level() -> None:
    found = made(2, STATES["warning"]())
    assert found.level is Level.WARNING
    assert "! mongo-2" in text(found) and "24s" in text(found)
    assert "scale 0 to 10s (warning 10s, critical 1m)" in text(found)


def test_a_member_that_cannot_catch_up_for_long_is_named() -> None:
    facts = oplog(members=(MemberLag(MEMBERS[1], 1.0, 7200.0), MemberLag(MEMBERS[2], 9.0, -1.0)))
    words = text(made(2, replace(fine(), oplog=reading("oplog", facts))), folded=True)
    assert "mongo-2 can catch up for another 2h" in words
    assert "✗ mongo-3 has fallen off the oplog" in words
    assert "can catch up" not in text(made(2))


def test_lag_is_known_while_the_oplog_is_not() -> None:
    known = replace(fine(), oplog=STATES["error"]().oplog)
    words = text(made(2, known))
    assert "✓ mongo-2" in words and "No member of the deployment answers" in " ".join(words.split())


# Backups


def test_snapshots_keep_age_and_proof_where_there_is_little_room() -> None:
    words = text(made(3), folded=True)
    assert "20261118_110600 local 40s level 3 ok 2026-11-18" in words
    wide = text(made(3, width=116), folded=True)
    assert "421.5 MiB" in wide and "1,240,000" in wide


def test_every_snapshot_can_be_scrolled_to() -> None:
    held = tuple(snapshot(60.0 * n + 30, name=f"20261118_{n:06d}") for n in range(40))
    known = replace(fine(), stores={"store:local": reading("store:local", store(*held))})
    found = made(3, known)
    assert sum("20261118_" in item.text for item in found.items) == 40
    laid = laid_out(found, 8, 39)
    assert "20261118_000039" in "\n".join(row.text for row in laid.lines)
    assert laid.lines[-1].text.strip().startswith("… ") and "above" in laid.lines[-1].text
    assert found.items[39].key == "snapshot:20261118_000039@local"


# Restorable range


def test_the_range_shows_strip_newest_point_margin_and_events() -> None:
    found = made(4, STATES["dropped"]())
    rows = text(found).splitlines()
    assert rows[0].split() == ["═", "covered", "░", "gap", "▲", "snapshot", "✗", "event"]
    assert set(rows[1].strip()) == {"═", "▲", "✗"} and len(rows[1]) == HALF
    assert rows[2].rstrip().endswith("now")
    assert "latest restorable 11:06:40Z, margin 1d3h" in rows[3]
    assert "✗ 10:47:40Z drop shop.orders: restorable" in rows[4]
    assert [item.key for item in found.items if item.key] == ["event:2c85fecf"]


def test_gaps_come_with_their_cause() -> None:
    old = snapshot(50_000, name="20261117_211320")
    known = replace(fine(), coverage=reading("coverage", coverage(snapshot(40), old)))
    words = text(made(4, known), folded=True)
    assert "░ gap of" in words and "11-17 21:13:20Z to 11:06:00Z" in words
    assert "The oplog that followed is gone" in words
    assert "═ covered 11-17 21:13:20Z only, by snapshot:20261117_211320" in words


def test_an_event_that_cannot_be_taken_back_says_so() -> None:
    known = replace(fine(), events=events(event("2c85fecf", 90_000)))
    words = text(made(4, replace(known, events=events(event("2c85fecf", 80_000)))), folded=True)
    assert "drop shop.orders: not restorable" in words


def test_the_whole_deployment_down_still_says_what_the_stores_hold() -> None:
    words = text(made(4, STATES["error"]()), folded=True)
    assert "latest restorable 11:06:00Z" in words and "The live oplog cannot be read" in words
    assert "▲" in words


def test_a_broken_margin_is_critical() -> None:
    held = (snapshot(50_000), snapshot(40_000))
    rolled = live(100, *held)
    found = covering.build(held, rolled, now=NOW, oplog=oplog(oldest=at(100)))
    words = text(made(4, replace(fine(), coverage=reading("coverage", found))), folded=True)
    assert "✗ latest restorable 11-18 00:00:00Z, margin 0s" in words or "✗ latest restorable" in words


# Events and jobs


def test_events_wrap_instead_of_losing_their_end() -> None:
    long = "a_database_with_a_long_name.a_collection_with_a_long_name"
    known = replace(fine(), stores={}, events=events(event("2c85fecf", 60, long)))
    found = made(5, known)
    item = next(i for i in found.items if i.key == "event:2c85fecf")
    assert len(item.lines) == 2
    assert long in item.text and "(40,000 documents)" in item.text


def test_odd_names_are_shown_and_obeyed_by_nothing() -> None:
    found = made(5, STATES["odd"](), SMALL)
    words = "\n".join(item.text for item in found.items)
    assert ODD_DATABASE in words and "\\u202e" in words and "a\\nb" in words
    assert RTL not in words and "\n" not in found.items[0].text


def test_jobs_say_step_and_percent() -> None:
    words = text(made(6, STATES["warning"](), SMALL), folded=True)
    assert "77aa88bb verify running read 43%" in words and "12ab34cd backup done" in words


def test_a_job_can_be_opened() -> None:
    found = made(6, replace(fine(), jobs=reading("jobs", (job("feedbeef"),))))
    assert [item.key for item in found.items] == ["job:feedbeef"]


# Laying out


def stack(*heights: int) -> Body:
    items = tuple(
        Item(tuple(line(f"{n}.{row}") for row in range(height)), f"thing {n}")
        for n, height in enumerate(heights)
    )
    return Body("1 t", Level.FINE, (line("head"),), items)


@settings(max_examples=200)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.integers(0, 20), st.integers(0, 14))
def test_the_cursor_is_always_in_sight(heights: list[int], height: int, cursor: int) -> None:
    found = stack(*heights)
    cursor = min(cursor, len(heights) - 1)
    laid = laid_out(found, height, cursor)
    assert len(laid.lines) <= height
    if height >= 7:
        assert laid.cursor is not None
        assert [laid.lines[row].text for row in laid.cursor] == [r.text for r in found.items[cursor].lines]


def test_what_does_not_fit_is_counted() -> None:
    laid = laid_out(stack(*[1] * 10), 6, 0)
    assert [row.text for row in laid.lines][-1] == "  … 6 more: z"
    assert laid_out(stack(*[1] * 10), 6, 9).lines[-1].text == "  … 6 above: z"
    assert laid_out(stack(*[1] * 10), 6, 5, zoom="").lines[-1].text == "  … 2 above, 4 below"
    assert len(laid_out(stack(1, 1), 6, 0).lines) == 3


def test_a_filter_keeps_what_has_the_text_in_any_case() -> None:
    found = stack(1, 1, 1)
    assert [i.text for i in filtered(found, "THING 2").items] == ["thing 2"]
    assert filtered(found, "") is found
    nothing = filtered(found, "x[/]")
    assert "nothing here has “x[/]”" in nothing.items[0].lines[0].text


def test_columns_go_before_names_are_cut() -> None:
    rows = tuple(Row((f"member-{n}", "SECONDARY", "2s", "1", "member-9", "9s")) for n in range(3))
    header = ("MEMBER", "STATE", "LAG", "VOTES", "SYNCS FROM", "HEARD")
    panel = Panel("set", "Replica set", Level.FINE, "0s", False, header, rows)
    order = ("VOTES", "SYNCS FROM", "HEARD")
    for width, count in ((60, 0), (48, 1), (36, 2), (26, 3)):
        gone = order[:count]
        words = text(body_of(panel, 1, width))
        assert "…" not in words
        assert [name for name in header if name not in words] == [n for n in header if n in gone], width


def test_only_a_source_that_fails_is_marked() -> None:
    panel = Panel("set", "t", Level.FINE, "0s", False, (), (Row(("a", "1")),))
    assert stale_marked(panel) is panel
    assert stale_marked(replace(panel, stale=True)).rows[0].cells == ("a", "?1")


@given(st.text(max_size=30), st.text(max_size=30), st.integers(0, 60), st.integers(0, 8), st.booleans())
def test_a_frame_is_exactly_so_big(title: str, right: str, width: int, height: int, focused: bool) -> None:
    rows = framed(line(title), line(right), [line("日本語" * 20)], width, height, focused=focused)
    if width >= 12 and height >= 2:
        assert len(rows) == height
        assert {row.width for row in rows} == {width}
    assert all(row.width <= max(width, 0) for row in rows)


# Banner, numbers, verdict


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_the_first_rows_fit(state: str, width: int) -> None:
    shown = view(STATES[state](), armed_seconds=598.0, paused=True)
    top = banner(shown, width, stores=1, host="bastion-2", local=timedelta(hours=1))
    assert top.width == width
    rows = [numbers(shown, width), *verdict_rows(shown, width)]
    assert all(row.width <= width for row in rows)
    assert 2 <= len(rows) - 1 <= 3
    if width >= 80:
        for word in ("RESTORE", "ARMED 9:58", "PAUSED", "11:06:40Z"):
            assert word in top.text
        assert "RPO now" in rows[0].text and "RTO now" in rows[0].text and "target" in rows[0].text


def test_the_banner_gives_up_the_host_first_and_the_access_never() -> None:
    shown = view(armed_seconds=598.0, paused=True)
    wide = banner(shown, 120, stores=1, host="bastion-2", local=timedelta(hours=1)).text
    assert "bastion-2" in wide and "7 of 7 sources live" in wide and "12:06 +01" in wide
    small = banner(shown, 80, stores=1, host="bastion-2", local=timedelta(hours=1)).text
    assert "bastion-2" not in small and "live" in small
    tiny = banner(shown, 46, host="bastion-2").text
    assert "ARMED 9:58" in tiny and "PAUSED" in tiny and "RESTORE" in tiny


def test_sources_that_have_not_answered_count_as_not_live() -> None:
    assert sources_live(STATES["empty"](), stores=2) == (0, 8)
    assert sources_live(fine(), stores=2) == (7, 8)
    assert sources_live(STATES["stale"](), stores=1) == (0, 7)


def test_the_numbers_have_targets_and_age() -> None:
    words = numbers(view(), 120).text
    assert words.split(" │ ")[0].strip() == "✓ RPO now 40s (target 1m)"
    assert "RPO undo 0s" in words and "(target 1h)" in words and words.endswith("age 0s")
    assert numbers(view(STATES["stale"]()), 80).text.startswith(" ! RPO now 1m21s (target 1m)")


def test_a_long_verdict_takes_two_rows_and_more_is_counted() -> None:
    shown = view(STATES["critical"]())
    rows = [row.text for row in verdict_rows(shown, 80)]
    assert len(rows) == 3 and "MASS DELETE" in rows[0]
    assert " ".join(" ".join(rows[:2]).split()) == f"✗ CRITICAL {shown.verdict.text}"
    count = len(further(shown.verdict.facts))
    assert count > 0 and rows[-1].rstrip().endswith(f"+{count} more: v")


def test_the_restore_point_is_whole_at_eighty_columns() -> None:
    rows = [row.text for row in verdict_rows(view(STATES["error"]()), 80)]
    assert "Newest restore point 11:06:00Z (loses 40s)." in rows[-1]
    wide = [row.text for row in verdict_rows(view(STATES["error"]()), 120)]
    assert "2026-11-18T11:06:00Z, from a snapshot in a store (loses 40s)." in wide[-1]


# The tab line


def test_a_tab_says_one_thing_each() -> None:
    words = [tab_word(n, view()) for n in (1, 2, 3, 4)]
    assert words == ["3/3 up", "1s", "40s", "whole"]
    assert [tab_word(n, view(STATES["empty"]())) for n in (1, 2, 3, 4)] == ["?"] * 4
    assert tab_word(1, view(STATES["warning"]())) == "2/3 up"
    assert tab_word(4, view(STATES["error"]())) == "2 gaps"


@pytest.mark.parametrize("state", STATES)
def test_tabs_are_whole_at_eighty_columns(state: str) -> None:
    shown = view(STATES[state]())
    row = tab_line(shown, dict.fromkeys((1, 2, 3, 4), Level.CRITICAL), 2, 80)
    assert row.width <= 80 and "…" not in row.text
    assert "▶✗ 2 Lag" in row.text and " ✗ 1 Set" in row.text


def test_the_lower_frame_tells_of_the_panel_that_is_not_shown() -> None:
    shown = view(STATES["warning"]())
    assert lower_hint(5, shown, panels(shown)).text.strip() == "6 Jobs: 1 running"
    assert lower_hint(6, shown, panels(shown)).text.strip().startswith("5 Events")
    assert lower_hint(1, shown, panels(shown)).text == ""
