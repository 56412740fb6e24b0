"""The console: one Textual app on a desk and a feed of readings. Nothing here blocks the loop."""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar

from rich.console import RenderableType
from textual import events
from textual._context import active_message_pump
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.binding import BindingType
from textual.css.query import NoMatches
from textual.dom import DOMNode
from textual.filter import LineFilter
from textual.message_pump import MessagePump
from textual.screen import Screen

from mongo_dr_console.model.happenings import Happening, observed
from mongo_dr_console.model.readings import SET, Limits, Readings, reading_of, with_reading
from mongo_dr_console.model.recording import Recorded
from mongo_dr_console.model.redaction import without_values
from mongo_dr_console.model.story import Story, tell
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.model.verdict import verdict
from mongo_dr_console.ui.background import Problem, in_thread, problem_of
from mongo_dr_console.ui.commands import Command, bindings_of
from mongo_dr_console.ui.console_commands import COMMANDS as CONSOLE_COMMANDS
from mongo_dr_console.ui.console_commands import NOT_OF_A_RECORDING, RECORDED
from mongo_dr_console.ui.feed import Feed
from mongo_dr_console.ui.frugal import narrowed
from mongo_dr_console.ui.glyphs import AsciiOnly
from mongo_dr_console.ui.keymap import checked
from mongo_dr_console.ui.lagring import KEPT, LagRing
from mongo_dr_console.ui.screens.alert_commands import COMMANDS as ALERT_COMMANDS
from mongo_dr_console.ui.screens.browse_commands import COMMANDS as BROWSE_COMMANDS
from mongo_dr_console.ui.screens.dashboard_commands import COMMANDS as DASHBOARD_COMMANDS
from mongo_dr_console.ui.screens.drill_commands import COMMANDS as DRILL_COMMANDS
from mongo_dr_console.ui.screens.failover_commands import COMMANDS as FAILOVER_COMMANDS
from mongo_dr_console.ui.screens.hold_commands import COMMANDS as HOLD_COMMANDS
from mongo_dr_console.ui.screens.job_commands import COMMANDS as JOB_COMMANDS
from mongo_dr_console.ui.screens.replay_commands import COMMANDS as REPLAY_COMMANDS
from mongo_dr_console.ui.screens.replay_commands import tape_of
from mongo_dr_console.ui.screens.schedule_commands import COMMANDS as SCHEDULE_COMMANDS
from mongo_dr_console.ui.themes import load_themes, stamp_of, textual_theme, variable_defaults, wearable
from mongo_dr_console.ui.view import Shows, Tape, View
from mongo_dr_console.ui.widgets.typed_field import TakesLetters
from mongo_dr_console.ui.wizard.commands import COMMANDS as WIZARD_COMMANDS
from mongo_dr_console.workers.desk import Desk
from mongo_dr_console.workers.limits import limits_of
from mongo_dr_console.workers.replay import JUMPED

_HAPPENINGS_KEPT = 200
_THEMES_SECONDS = 2.0
"""How often the user's themes are looked at: what an editor has saved is worn at once."""
_BELOW_SECONDS = 30.0
"""How often what lies below a dialog is brought up to date."""

COMMANDS: tuple[Command, ...] = (
    *DASHBOARD_COMMANDS,
    *WIZARD_COMMANDS,
    *JOB_COMMANDS,
    *DRILL_COMMANDS,
    *ALERT_COMMANDS,
    *FAILOVER_COMMANDS,
    *REPLAY_COMMANDS,
    *SCHEDULE_COMMANDS,
    *BROWSE_COMMANDS,
    *HOLD_COMMANDS,
    *CONSOLE_COMMANDS,
)


@dataclass(frozen=True, slots=True)
class Options:
    """How the console was started.

    Args:
        theme: Its name; one that is not known is reported and the default used.
        keys: Command id = keys, from the config.
        ascii: Signs and frames in plain ASCII.
        incidents: Practice events by name, in a practice deployment only; each blocks and says what it did.
        themes: The folder of the user's own themes.
        recorded: The file that the readings are written into.
        replayed: The recording that is shown instead of a deployment.
        listed: Whether the profile was gone into from the list of all: Esc on the dashboard goes back there.
        reports: What is to be said at the start.
    """

    theme: str = "dark"
    keys: Mapping[str, str] = field(default_factory=dict)
    ascii: bool = False
    incidents: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    themes: Path | None = None
    recorded: Path | None = None
    replayed: Path | None = None
    listed: bool = False
    reports: tuple[str, ...] = ()


class ConsoleApp(App[None]):
    """The console.

    Args:
        desk: What can be asked for and done.
        feed: Where the readings come from.
        clock: Tells the time (UTC).
    """

    CSS_PATH = "console.tcss"
    TITLE = "mongo-dr-console"
    ENABLE_COMMAND_PALETTE = False
    # Textual's own ctrl+q stays: a person whose keys are remapped wrongly must still get out.
    BINDINGS: ClassVar[list[BindingType]] = bindings_of(COMMANDS)

    def __init__(
        self,
        desk: Desk,
        feed: Feed,
        options: Options | None = None,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        limits: Limits | None = None,
    ) -> None:
        self.options = options or Options()
        super().__init__()
        self.desk = desk
        self.feed: Feed = feed
        self.clock = clock
        self.limits = limits or limits_of(desk.profile)
        recorded = self.options.replayed is not None
        self.commands: dict[str, Command] = {c.id: c for c in COMMANDS if recorded or not c.of_recording}
        self.story: Story | None = None
        """What a recording tells, once it was looked through."""
        self.happenings: deque[Happening] = deque(maxlen=_HAPPENINGS_KEPT)
        """What was observed since the console was opened, the newest last."""
        self.hiding_values = False
        """Whether a key asked for values of documents to be left out."""
        self.lags = LagRing().noted(feed.readings.set)
        """The members' lag of the last minutes."""
        self.to_list = False
        """Whether it was left for the list of profiles, and not for good."""
        self._top: Screen[Any] | None = None
        self._below_shown = 0.0
        self._seen = feed.readings
        self._feeding: asyncio.Task[None] | None = None
        self._themes_stamp = stamp_of(self.options.themes) if self.options.themes else ()
        self._load_themes()
        self.theme, unknown_theme = wearable(self.themes, self.options.theme)
        keys, wrong_keys = checked(self.options.keys, COMMANDS)
        self.set_keymap(keys)
        self._to_report = (*self.options.reports, *self.themes.problems, *unknown_theme, *wrong_keys)
        self.set_class(self.ascii, "-ascii")

    @property
    def ascii(self) -> bool:
        return self.options.ascii

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return variable_defaults()

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = super().get_line_filters()
        return [*filters, AsciiOnly()] if self.ascii else filters

    @property
    def values_hidden(self) -> bool:
        """Whether the values of documents are left out, on request or for good."""
        return self.hiding_values or self.desk.profile.redacts

    @property
    def view(self) -> View:
        """This moment."""
        now = self.clock()
        readings = self.feed.readings
        return View(
            readings=readings,
            verdict=verdict(readings, self.limits, now),
            limits=self.limits,
            now=now,
            granted=self.desk.access.granted,
            armed_seconds=self.desk.access.armed_seconds,
            paused=self.feed.paused,
            recorded=self.options.replayed is not None,
            tape=self._tape(),
        )

    def _tape(self) -> Tape | None:
        feed = tape_of(self)
        if feed is None:
            return None
        position, story = feed.position, self.story
        if story is None:
            return Tape(position)
        seen = story.seen_marks(position.number)
        return Tape(position, seen[-1] if seen else None, (len(seen), len(story.marks)))

    async def on_mount(self) -> None:
        from mongo_dr_console.ui.screens.dashboard import Dashboard

        await self.push_screen(Dashboard())
        self.feed.subscribe(self._reading_came)
        # Nothing is asked before something stands on the screen: asking loads libraries, which takes longer.
        self.call_after_refresh(self._begin_feeding)
        self.set_interval(1.0, self.refresh_view)
        self.refresh_view()
        if not self.is_headless:
            # What asking needs is loaded by the first reading.
            self._heard_first = self.feed.subscribe(self._first_reading_came)
            self.set_interval(_THEMES_SECONDS, self.look_at_themes)
        for problem in self._to_report:
            self.say(problem, level="warning")
        if (tape := tape_of(self)) is not None:
            self.run_worker(self._look_through(tape.recording), group="story", exit_on_error=False)

    def _begin_feeding(self) -> None:
        self._feeding = asyncio.create_task(self.feed.run(), name="feed")

    def _load_themes(self) -> None:
        self.themes = load_themes(self.options.themes)
        for file in self.themes.found.values():
            self.register_theme(textual_theme(file, self.desk.profile.environment))

    async def look_at_themes(self) -> None:
        """Takes what has changed in the user's themes, and says what is wrong with it."""
        folder = self.options.themes
        stamp = () if folder is None else await in_thread(lambda: stamp_of(folder))
        if isinstance(stamp, Problem) or stamp == self._themes_stamp:
            return
        self._themes_stamp = stamp
        self._load_themes()
        for problem in self.themes.problems:
            self.say(problem, level="warning")
        self.mutate_reactive(ConsoleApp.theme)

    async def _look_through(self, recording: Sequence[Recorded]) -> None:
        story = await in_thread(lambda: tell(recording, self.limits))
        if isinstance(story, Problem):
            self.say_problem(story)
        else:
            self.story = story
            self.refresh_view()

    async def on_unmount(self) -> None:
        if self._feeding is not None:
            self._feeding.cancel()
            await asyncio.wait({self._feeding}, timeout=1)

    def _first_reading_came(self, *_: object) -> None:
        self._heard_first()
        _spare_the_collector()

    def _reading_came(self, name: str, readings: Readings) -> None:
        now = self.clock()
        news = True
        if name == JUMPED:
            self._jumped(now)
        else:
            self.happenings.extend(observed(self._seen, readings, now))
            lags, self.lags = self.lags, self.lags.noted(readings.set)
            news = self.lags is not lags or _is_news(readings, self._seen, name)
        self._seen = readings
        if news and self.is_running:
            # Several readings of one moment are drawn once.
            self.call_next(self.refresh_view)

    def _jumped(self, now: datetime) -> None:
        """A recording stands elsewhere: what was observed is what had been by then."""
        tape = tape_of(self)
        if tape is None:
            return
        known = list(self.happenings) if self.story is None else self.story.seen_until(tape.position.number)
        self.happenings.clear()
        self.happenings.extend(h for h in known if h.at <= now)
        self.lags = LagRing()
        for reading in tape.last(SET, KEPT):
            self.lags = self.lags.noted(reading)

    def refresh_view(self) -> None:
        """Shows this moment on the screen on top, and now and then on those below a dialog.

        Whatever changes below a screen makes Textual paint all of the one on top anew: thirty times the
        traffic.
        """
        if not self.is_running:
            # On the way out screens are taken apart from the inside.
            return
        view = self.view
        if self._top is not self.screen:
            self._top, self._below_shown = self.screen, monotonic()
        below = self.screen.is_modal and self._below_shown + _BELOW_SECONDS <= monotonic()
        if below:
            self._below_shown = monotonic()
        for screen in self.screen_stack if below else self.screen_stack[-1:]:
            if isinstance(screen, Shows) and screen.is_mounted and not screen._pruning:
                screen.show(view)

    def pop_screen(self) -> AwaitComplete:
        """As Textual's; what comes to light shows this moment at once."""
        popped = super().pop_screen()
        self.call_next(self.refresh_view)
        return popped

    @property
    def failure(self) -> Exception | None:
        """What the console died of, if it did."""
        return self._exception

    def _handle_exception(self, error: Exception) -> None:
        if isinstance(error, NoMatches) and _is_going(active_message_pump.get(None)):
            return  # what was still to be drawn finds its parts gone already, and nobody sees it any more
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        # Textual would print all local variables, and a connection URI may be one of them.
        self._close_messages_no_wait()

    # Commands

    def refusal(self, command: Command) -> str:
        """Why a command cannot run now; an empty text if it can."""
        if self.options.replayed is not None and command.id in NOT_OF_A_RECORDING:
            return RECORDED
        return command.refusal(self)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A recording's keys are there in a recording only."""
        if action == "run_command" and parameters and parameters[0] not in self.commands:
            return False
        return super().check_action(action, parameters)

    def action_run_command(self, name: str) -> None:
        self.run_command(name)

    def run_command(self, name: str, choice: str = "") -> None:
        """Runs a command of the table, or says why it cannot run. What it raises is said.

        Args:
            choice: One of the command's choices: what follows its name in the palette.
        """
        command = self.commands[name]
        if why := self.refusal(command):
            self.say(why, level="warning")
            return
        try:
            if choice and command.choose is not None:
                command.choose(self, choice)
            else:
                command.action(self)
        except Trouble as trouble:
            self.say_problem(problem_of(trouble))

    def open_key(self, key: str) -> None:
        """Opens what a row points to: ``event:<id>``, ``job:<id>``, ``snapshot:<name>@<store>``,
        ``command:<id>``."""
        kind, _, name = key.partition(":")
        if self.options.replayed is not None:
            self.say(RECORDED, level="warning")
        elif kind == "event":
            from mongo_dr_console.ui.wizard.screen import open_wizard

            open_wizard(self, event=name)
        elif kind == "job":
            from mongo_dr_console.ui.screens.job import JobScreen

            self.push_screen(JobScreen(name))
        elif kind == "snapshot":
            from mongo_dr_console.ui.screens.snapshot import SnapshotScreen

            snapshot, _, store = name.rpartition("@")
            self.push_screen(SnapshotScreen(snapshot, store))
        elif kind == "command":
            self.run_command(name)
        else:
            self.say("This row opens nothing. Events, jobs and snapshots can be opened.")

    async def on_event(self, event: events.Event) -> None:
        # Keys typed after the one that leaves would meet screens that are being taken apart.
        if self._exit and isinstance(event, events.InputEvent):
            return
        if isinstance(event, events.Key) and event.is_printable and not event.is_forwarded:
            self._begin_typing(event.character or "")
        await super().on_event(event)

    def _begin_typing(self, letter: str) -> None:
        screen = self.screen
        if isinstance(screen, TakesLetters) and (field := screen.field_for(letter)) is not None:
            screen.set_focus(field)

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        super()._display(screen, narrowed(renderable))

    # Telling

    def say(self, text: str, *, level: Any = "information", title: str = "") -> None:
        """A toast; the text is data and never markup."""
        self.notify(text, title=title, severity=level, markup=False)

    def say_problem(self, problem: Problem) -> None:
        said = f"{problem.message}\n{problem.hint}".rstrip()
        self.say(without_values(said) if self.values_hidden else said, level="error")


def _is_news(readings: Readings, before: Readings, name: str) -> bool:
    """Whether more is new than the times of one source's reading: those the next second's tick shows."""
    now, then = reading_of(readings, name), reading_of(before, name)
    if now is None or then is None:
        return True
    same = replace(then, taken_at=now.taken_at, tried_at=now.tried_at, took=now.took, next_try=now.next_try)
    return with_reading(before, same) != readings


def _is_going(node: MessagePump | None) -> bool:
    """Whether a screen or a part of one is being taken apart."""
    return isinstance(node, DOMNode) and any(
        part._closing or part._pruning or not part.is_attached for part in node.ancestors_with_self[:-1]
    )


def _spare_the_collector() -> None:
    """What is loaded by now stays for ever: each time the collector looks through it, a key waits 100 ms."""
    gc.freeze()
    gc.set_threshold(700, 10, 50)
