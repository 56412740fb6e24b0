"""Lines: cut, filled and wrapped by the cells that a terminal gives them, whatever the text holds."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from mongo_dr_console.ui.lines import (
    Line,
    fit,
    fitted,
    joined,
    line,
    pad,
    plain,
    shrunk,
    table,
    with_role,
    wrapped,
)

ANY = st.text(max_size=60)
WIDTH = st.integers(0, 40)


@given(ANY)
@example("a\nb\x1b[2J\u202e\u200b")
def test_a_line_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    assert plain(text).isprintable()
    assert line(text).text.isprintable()


def test_markup_is_text() -> None:
    assert line("db[/] [bold]").text == "db[/] [bold]"


@given(ANY, WIDTH)
def test_fit_and_pad_keep_to_the_cells(text: str, width: int) -> None:
    text = plain(text)
    assert cell_len(fit(text, width)) <= width
    assert cell_len(pad(text, width)) == width
    if cell_len(text) <= width:
        assert fit(text, width) == text
    elif width > 0:
        assert fit(text, width).endswith("…")


@given(st.lists(ANY, max_size=5), WIDTH)
def test_fitted_cuts_across_spans(parts: list[str], width: int) -> None:
    whole = line(*((part, "dim") for part in parts))
    cut = fitted(whole, width)
    assert cut.width <= width
    assert fitted(whole, width, fill=True).width == width
    if whole.width <= width:
        assert cut.text == whole.text


@given(ANY, ANY, st.integers(1, 60))
def test_joined_keeps_the_right_one_whole(left: str, right: str, width: int) -> None:
    row = joined(line(left), line(right), width)
    assert row.text.endswith(line(right).text)
    if line(right).width < width:
        assert row.width == width


@given(ANY, st.integers(4, 40))
def test_wrapping_loses_nothing_and_keeps_to_the_width(text: str, width: int) -> None:
    rows = wrapped(text, width)
    assert all(row.width <= width for row in rows)
    assert "".join("".join(row.text for row in rows).split()) == "".join(plain(text).split())


@given(st.text("ab c", max_size=80), st.integers(8, 40), st.integers(0, 30))
def test_an_indent_never_keeps_it_from_ending(text: str, width: int, indent: int) -> None:
    rows = wrapped(text, width, indent=" " * indent)
    assert " ".join(row.text for row in rows).split() == text.split() or any(
        len(w) > width // 2 for w in text.split()
    )


def test_words_stay_whole_where_they_fit() -> None:
    assert [row.text for row in wrapped("next try 11:06:48Z, last value", 12)] == [
        "next try",
        "11:06:48Z,",
        "last value",
    ]


@given(st.lists(st.integers(0, 80), min_size=1, max_size=6), st.integers(10, 120))
def test_shrinking_takes_from_the_widest(widths: list[int], room: int) -> None:
    result = shrunk(widths, room)
    assert all(new <= old for new, old in zip(result, widths, strict=True))
    assert sum(result) <= max(room, sum(min(w, 4) for w in widths))


@given(st.lists(st.tuples(ANY, ANY, ANY), min_size=1, max_size=5), st.integers(24, 60))
def test_a_table_fits_and_its_columns_stand_below_each_other(
    rows: list[tuple[str, str, str]], width: int
) -> None:
    found = table(("NAME", "STATE", "AGE"), [(row, "fine", "✓") for row in rows], width)
    assert len(found) == len(rows) + 1
    assert all(row.width <= width for row in found)


def test_a_table_without_rows_is_nothing() -> None:
    assert table((), [], 40) == []


def test_the_row_under_the_cursor_keeps_its_text() -> None:
    row = line(("✓ ", "fine"), "a", ("b", "dim"))
    assert with_role(row, "cursor") == Line((("✓ ab", "cursor"),))
    assert with_role(Line(), "cursor") == Line()
