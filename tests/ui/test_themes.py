"""Themes: every text can be read, no state is told by red and green alone, a bad file is reported."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
from support.consolekit import console
from textual.color import Color

from mongo_dr_console.ui.app import Options
from mongo_dr_console.ui.themes import (
    DEFAULT,
    ThemeFile,
    contrast,
    environment_colour,
    load_themes,
    luminance,
    readable_on,
)

PACKED = load_themes(None)
NAMES = ("16-colour", "colour-blind", "dark", "high-contrast", "light", "mono")
TEXTS = ("foreground", "muted", "primary", "secondary", "accent", "success", "warning", "error")
GROUNDS = ("background", "surface", "panel")
LEVELS = ("success", "warning", "error", "secondary")


def test_six_themes_come_along_without_a_word() -> None:
    assert tuple(sorted(PACKED.found)) == NAMES
    assert PACKED.problems == ()
    assert DEFAULT in PACKED.found


@pytest.mark.parametrize("name", NAMES)
def test_every_text_can_be_read_on_every_ground(name: str) -> None:
    colours = PACKED.found[name].colours.model_dump()
    least = 7.0 if name == "high-contrast" else 4.5
    for text, ground in itertools.product(TEXTS, GROUNDS):
        assert contrast(colours[text], colours[ground]) >= least, (text, ground)


@pytest.mark.parametrize("name", NAMES)
def test_every_mark_stands_out(name: str) -> None:
    theme = PACKED.found[name]
    colours = theme.colours.model_dump()
    assert contrast(colours["border"], colours["background"]) >= 3
    for environment, colour in theme.environments.items():
        assert contrast(colour, colours["panel"]) >= 3, environment
        assert contrast(colour, colours["background"]) >= 3, environment
        assert contrast(readable_on(colour), colour) >= 4.5, environment


@pytest.mark.parametrize("name", NAMES)
def test_production_looks_like_no_other_environment(name: str) -> None:
    painted = PACKED.found[name].environments
    others = {colour for known, colour in painted.items() if known not in ("production", "live")}
    assert painted["production"] not in others


def test_sixteen_colours_are_those_that_a_terminal_has_and_mono_has_none() -> None:
    from rich._palettes import STANDARD_PALETTE

    have = {tuple(STANDARD_PALETTE[n]) for n in range(16)}
    for name in ("16-colour", "mono"):
        theme = PACKED.found[name]
        painted = [*theme.colours.model_dump().values(), *theme.environments.values()]
        assert {Color.parse(colour).rgb for colour in painted} <= have
    mono = PACKED.found["mono"]
    for colour in (*mono.colours.model_dump().values(), *mono.environments.values()):
        assert len(set(Color.parse(colour).rgb)) == 1, colour


# Deuteranopia after Viénot, Brettel and Mollon (1999), on linear RGB.
DEUTERANOPIA = ((0.29275, 0.70725, -0.02234), (0.29275, 0.70725, -0.02234), (-0.02234, 0.02234, 1.0))


def seen(colour: str) -> str:
    """A colour as a person without green cones sees it."""
    linear = [
        ((p / 255 + 0.055) / 1.055) ** 2.4 if p > 10 else p / 255 / 12.92 for p in Color.parse(colour).rgb
    ]
    mixed = [max(0.0, min(1.0, sum(a * b for a, b in zip(row, linear, strict=True)))) for row in DEUTERANOPIA]
    parts = [1.055 * p ** (1 / 2.4) - 0.055 if p > 0.0031308 else 12.92 * p for p in mixed]
    return Color(*(round(p * 255) for p in parts)).hex


def hue(colour: str) -> float:
    """Where a colour lies between yellow and blue and between red and green, in degrees (CIE Lab)."""
    _, a, b = lab(colour)
    return math.degrees(math.atan2(b, a))


def lab(colour: str) -> tuple[float, float, float]:
    from textual.color import rgb_to_lab

    found = rgb_to_lab(Color.parse(colour))
    return found.L, found.a, found.b


def test_levels_differ_in_brightness_and_hue_without_green_cones() -> None:
    colours = PACKED.found["colour-blind"].colours.model_dump()
    as_seen = {level: seen(colours[level]) for level in LEVELS[:3]}
    for one, other in itertools.combinations(as_seen.values(), 2):
        assert contrast(one, other) >= 1.3, as_seen
        assert math.dist(lab(one), lab(other)) >= 25, as_seen
    # Two hues are all there is left: what is fine has the one, what is not the other.
    for bad in ("warning", "error"):
        apart = abs(hue(as_seen["success"]) - hue(as_seen[bad])) % 360
        assert min(apart, 360 - apart) >= 90, as_seen


def test_red_and_green_would_not_pass_for_colour_blind() -> None:
    assert math.dist(lab(seen("#cc4433")), lab(seen("#8a7a20"))) < 25


def test_luminance_is_that_of_the_definition() -> None:
    assert luminance("#ffffff") == pytest.approx(1)
    assert luminance("#ff0000") == pytest.approx(0.2126)


GOOD = (Path(__file__).parents[2] / "themes" / "dark.toml").read_text(encoding="utf-8")


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


def test_the_users_themes_come_on_top(tmp_path: Path) -> None:
    mine = GOOD.replace('name = "dark"', 'name = "mine"')
    ours = GOOD.replace("#11151b", "#000000")
    found = load_themes(written(tmp_path, mine=mine, dark=ours))
    assert found.problems == ()
    assert "mine" in found.found
    assert found.found["dark"].colours.background == "#000000"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace('"#ff8078"', '"reddish"'), ("line ", "colours.error", "not a colour")),
        (GOOD.replace('"#ff8078"', '"ansi_red"'), ("colours.error", "a colour of its own")),
        (GOOD.replace('"#ff8078"', '"#ff807880"'), ("colours.error", "a colour of its own")),
        (GOOD.replace("error =", "eror ="), ("colours.eror", "did you mean 'error'")),
        (GOOD.replace("other =", "others ="), ("environments", "'other'")),
        (GOOD.replace('name = "dark"', 'name = "[/]"'), ("line 3", "name")),
        ("name = ", ("left out", "Invalid value")),
        ("x" * 100_000, ("left out", "too long")),
        ("\x00", ("left out",)),
    ],
)
def test_a_bad_theme_is_reported_and_left_out(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    found = load_themes(written(tmp_path, bad=text))
    (problem,) = found.problems
    assert problem.startswith("Theme bad.toml was left out: ")
    for word in words:
        assert word in problem
    assert tuple(sorted(found.found)) == NAMES


def test_what_is_no_text_is_reported(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    assert len(load_themes(tmp_path).problems) == 1


async def test_what_an_editor_saves_is_worn_at_once_and_a_bad_one_is_not(tmp_path: Path) -> None:
    mine = GOOD.replace('name = "dark"', 'name = "mine"')
    app = console(options=Options(theme="mine", themes=written(tmp_path, mine=mine)))
    async with app.run_test(notifications=True) as pilot:
        written(tmp_path, mine=mine.replace("#11151b", "#004000"))
        await app.look_at_themes()
        await pilot.pause()
        assert app.theme_variables["background"] == "#004000"
        assert app.screen.styles.background.hex == "#004000"
        written(tmp_path, mine=mine.replace("#11151b", "greenish"))
        await app.look_at_themes()
        await pilot.pause()
        assert app.screen.styles.background.hex == "#004000"
        assert any("mine.toml was left out" in n.message for n in app._notifications)
        before = len(app._notifications)
        await app.look_at_themes()
        assert len(app._notifications) == before, "nothing has changed since"


def test_no_folder_is_no_problem(tmp_path: Path) -> None:
    assert load_themes(tmp_path / "none").problems == ()


def test_an_environment_of_its_own_colour() -> None:
    painted = PACKED.found["dark"].environments
    assert environment_colour(painted, "prod-eu1") == painted["production"]
    assert environment_colour(painted, "somewhere") == painted["other"]
    assert isinstance(PACKED.found["dark"], ThemeFile)
