"""Theme files (TOML): those that come along, then the user's. A bad one is reported and left out."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator
from textual.color import Color, ColorParseError
from textual.theme import Theme

from mongo_dr_console.config import config_path
from mongo_dr_console.model.configerrors import Problem, explain

DEFAULT = "dark"
OTHER = "other"
_LARGEST = 64 * 1024


def _colour(text: str) -> str:
    try:
        colour = Color.parse(text)
    except ColorParseError:
        raise ValueError("not a colour such as '#1d4f80'") from None
    if colour.ansi is not None or colour.a != 1 or colour.auto:
        raise ValueError("a colour of its own is needed, such as '#1d4f80'")
    return colour.hex


Colour = Annotated[str, AfterValidator(_colour)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Colours(_Section):
    """What is painted how."""

    background: Colour
    surface: Colour
    panel: Colour
    foreground: Colour
    muted: Colour
    border: Colour
    primary: Colour
    secondary: Colour
    accent: Colour
    success: Colour
    warning: Colour
    error: Colour


class ThemeFile(_Section):
    """One file.

    Args:
        name: What ``theme`` and ``--theme`` call it.
        environments: The banner's colour by environment; ``other`` for the rest.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    dark: bool
    colours: Colours
    environments: dict[str, Colour]

    @field_validator("environments")
    @classmethod
    def _the_rest(cls, value: dict[str, str]) -> dict[str, str]:
        if OTHER not in value:
            raise ValueError(f"needs a colour for {OTHER!r}: every environment that is not named")
        return value


@dataclass(frozen=True, slots=True)
class Themes:
    """The themes that can be had, by name, and what is wrong with the others, in words."""

    found: dict[str, ThemeFile]
    problems: tuple[str, ...] = ()


def users_folder() -> Path:
    """Where the user's own themes lie: beside the config file."""
    return config_path().parent / "themes"


def load_themes(folder: Path | None) -> Themes:
    """Those that come along and those of a folder; of one name the folder's."""
    found: dict[str, ThemeFile] = {}
    problems: list[str] = []
    for place in [_packed(), *([folder] if folder is not None else [])]:
        for file in _files(place, problems):
            theme = _read(file, problems)
            if theme is not None:
                found[theme.name] = theme
    return Themes(found, tuple(problems))


def stamp_of(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Another one where a theme file of a folder was written, came or went."""
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix == ".toml")
        return tuple((f.name, found.st_mtime_ns, found.st_size) for f in files for found in [f.stat()])
    except OSError:
        return ()


def wearable(themes: Themes, name: str) -> tuple[str, tuple[str, ...]]:
    """The theme of that name, else the default and why; Textual's own where there is none at all."""
    if name in themes.found:
        return name, ()
    known = ", ".join(themes.found) or "none"
    why = f"There is no theme {name!r}; the console wears {DEFAULT!r}. Known: {known}."
    return (DEFAULT if DEFAULT in themes.found else "textual-dark"), (why,)


def textual_theme(file: ThemeFile, environment: str) -> Theme:
    """A theme as Textual takes it, with the colours of one environment's banner.

    Raises:
        Exception: Textual cannot make its shades of it.
    """
    colours = file.colours
    painted = environment_colour(file.environments, environment)
    variables = {
        "text-muted": colours.muted,
        "foreground-muted": colours.muted,
        "border": colours.accent,
        "border-blurred": colours.border,
        "scrollbar": colours.border,
        "mdr-border": colours.border,
        "mdr-environment": painted,
        "mdr-on-environment": readable_on(painted),
    }
    plain = colours.model_dump(exclude={"muted", "border"})
    theme = Theme(name=file.name, dark=file.dark, variables=variables, **plain)
    theme.to_color_system().generate()
    return theme


def variable_defaults() -> dict[str, str]:
    """Our own variables, for themes that have none of them."""
    return {"mdr-border": "#808080", "mdr-environment": "#d9903d", "mdr-on-environment": "#000000"}


def environment_colour(environments: Mapping[str, str], name: str) -> str:
    """The colour of an environment: its own, else of the one that its first word begins or shortens.

    >>> colours = {"production": "red", "other": "grey"}
    >>> [environment_colour(colours, name) for name in ("Production", "prod-eu1", "production2", "pr", "x")]
    ['red', 'red', 'red', 'grey', 'grey']
    """
    wanted = name.lower()
    exact = next((colour for known, colour in environments.items() if known.lower() == wanted), None)
    if exact is not None:
        return exact
    word = re.split(r"[._-]", wanted)[0]
    for known, colour in environments.items():
        full = known.lower()
        if known != OTHER and (word.startswith(full) or (len(word) > 2 and full.startswith(word))):
            return colour
    return environments[OTHER]


def luminance(colour: str) -> float:
    """How bright a colour is, as WCAG reckons it: 0 to 1."""
    parts = [part / 255 for part in Color.parse(colour).rgb]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The ratio of two colours' brightness, 1 to 21.

    >>> round(contrast("#000000", "#ffffff"))
    21
    """
    darker, brighter = sorted((luminance(one), luminance(other)))
    return (brighter + 0.05) / (darker + 0.05)


def readable_on(colour: str) -> str:
    """Black or white, whichever can be read better on a colour."""
    return max(("#000000", "#ffffff"), key=lambda text: contrast(text, colour))


def _packed() -> Traversable:
    inside = resources.files("mongo_dr_console") / "themes"
    # In a checkout they lie beside the package.
    return inside if inside.is_dir() else Path(__file__).resolve().parents[2] / "themes"


def _files(place: Traversable, problems: list[str]) -> Iterable[Traversable]:
    try:
        if not place.is_dir():
            return []
        return sorted((f for f in place.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    except OSError as error:
        problems.append(f"The themes in {place} cannot be read: {error.strerror or error}.")
        return []


def _read(file: Traversable, problems: list[str]) -> ThemeFile | None:
    try:
        with file.open("rb") as opened:
            text = opened.read(_LARGEST + 1).decode("utf-8")
        if len(text) > _LARGEST:
            raise ValueError("it is too long for a theme")
        data = tomllib.loads(text)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        problems.append(f"Theme {file.name} was left out: {why}.")
        return None
    try:
        theme = ThemeFile.model_validate(data)
        textual_theme(theme, OTHER)
    except ValidationError as error:
        why = "; ".join(_explained(error, data, text))
        problems.append(f"Theme {file.name} was left out: {why}")
        return None
    except Exception as error:  # whatever Textual makes of these colours, the console starts
        problems.append(f"Theme {file.name} was left out: {error}.")
        return None
    return theme


def _explained(error: ValidationError, data: Mapping[str, Any], text: str) -> list[str]:
    found = error.errors(include_url=False, include_input=False)
    problems = [Problem(tuple(e["loc"]), e["type"], e["msg"], e.get("ctx", {})) for e in found]
    return explain(problems, data, text, ThemeFile)
