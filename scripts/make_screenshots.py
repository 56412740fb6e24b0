"""Makes screenshots/*.svg: the console on a recorded run of the practice deployment. The same every time.

    python scripts/make_screenshots.py                 all of them
    python scripts/make_screenshots.py plan result     some
    python scripts/make_screenshots.py --png           and the README's as PNG; needs resvg-py and the font
                                                       Fira Code, which are no part of the project

The recording (tests/data/recording) was made with ``mdr console --record`` while a collection was dropped and
brought back; names of hosts and folders were changed. Where a deployment would be asked, the tests' desk
answers.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.consolekit import SMALL, WIDE, FakeDesk, FakeFeed  # noqa: E402
from support.jobkit import held  # noqa: E402
from textual.pilot import Pilot  # noqa: E402

from mongo_dr_console.config import PRACTICE, Profile  # noqa: E402
from mongo_dr_console.model.coverage import build  # noqa: E402
from mongo_dr_console.model.finding import Finding  # noqa: E402
from mongo_dr_console.model.namespace import Namespace  # noqa: E402
from mongo_dr_console.model.plan import Plan  # noqa: E402
from mongo_dr_console.model.reading import SourceError  # noqa: E402
from mongo_dr_console.model.readings import Readings, with_reading  # noqa: E402
from mongo_dr_console.model.recording import Recorded  # noqa: E402
from mongo_dr_console.model.verdict import Level  # noqa: E402
from mongo_dr_console.ui.app import ConsoleApp, Options  # noqa: E402
from mongo_dr_console.ui.screens.job import JobScreen  # noqa: E402
from mongo_dr_console.workers.desk import Content  # noqa: E402
from mongo_dr_console.workers.jobs import JOURNAL, JobFolder, read_plan  # noqa: E402
from mongo_dr_console.workers.recordings import read_recording  # noqa: E402

OUT = ROOT / "screenshots"
RECORDING = ROOT / "tests" / "data" / "recording"
STATE = "/var/lib/mongo-dr-console"
"""Stands for the state folder; the real one is as long, so that no row moves."""
TITLE = "mdr"
FONTS = ["/usr/share/fonts", str(Path.home() / ".local/share/fonts")]

CALM = datetime(2026, 11, 22, 22, 20, 12, tzinfo=UTC)
DROPPED = datetime(2026, 11, 22, 22, 20, 35, tzinfo=UTC)
LOADING = datetime(2026, 11, 22, 22, 20, 48, 800_000, tzinfo=UTC)
DONE = datetime(2026, 11, 22, 22, 20, 51, tzinfo=UTC)

Prepare = Callable[[ConsoleApp, Pilot[None]], Awaitable[None]]


@dataclass(frozen=True)
class Shot:
    """One picture.

    Args:
        name: Of its file.
        at: The moment of the recording.
        keys: What is pressed then.
        prepare: What else is done before.
    """

    name: str
    at: datetime = DROPPED
    size: tuple[int, int] = WIDE
    keys: tuple[str, ...] = ()
    theme: str = "dark"
    access: Any = "restore"
    prepare: Prepare | None = None


async def deployment_down(app: ConsoleApp, pilot: Pilot[None]) -> None:
    """No member answers any more; what was known stays."""
    gone = SourceError("deployment-unreachable", "No member of the deployment answers.")
    now, new = app.clock(), app.feed.readings
    for name in ("set", "oplog", "events", "lock"):
        before = getattr(new, name)
        tried = replace(before, error=gone, attempt=6, tried_at=now, next_try=now + timedelta(seconds=8))
        new = with_reading(new, tried)
    snapshots = [s for store in new.stores.values() if store.value for s in store.value.snapshots]
    known = build(snapshots, None, now=now, live_error=gone)
    assert new.coverage is not None
    new = with_reading(new, replace(new.coverage, value=known, taken_at=now, tried_at=now))
    assert isinstance(app.feed, FakeFeed)
    app.feed.push(new)


async def armed(app: ConsoleApp, pilot: Pilot[None]) -> None:
    await pilot.press("A", "tab", "enter")


async def job_open(app: ConsoleApp, pilot: Pilot[None]) -> None:
    screen = JobScreen(JOB)
    app.push_screen(screen)
    await until(pilot, lambda: screen.job_view is not None)


JOB = "abb93e3c"
STEP = ("enter",)
CONFIRM = ("R", *STEP * 5)
SHOTS = (
    Shot("dashboard", CALM),
    Shot("dashboard-small", CALM, SMALL),
    Shot("dropped"),
    Shot("dropped-small", size=SMALL),
    Shot("critical", DONE, prepare=deployment_down),
    Shot("critical-small", DONE, SMALL, prepare=deployment_down),
    Shot("wizard-1-preflight", keys=("R",)),
    Shot("wizard-2-what-happened", keys=("R", *STEP)),
    Shot("wizard-3-scope", keys=("R", *STEP * 2)),
    Shot("wizard-4-where-to", keys=("R", *STEP * 3)),
    Shot("wizard-5-plan", keys=("R", *STEP * 4)),
    Shot("wizard-5-plan-small", size=SMALL, keys=("R", *STEP * 4)),
    Shot("wizard-6-confirm", keys=(*CONFIRM, *"practice/practice/shop.or"), prepare=armed),
    Shot("wizard-6-confirm-small", size=SMALL, keys=CONFIRM, prepare=armed),
    Shot("arm", keys=("A",)),
    Shot("progress", LOADING, prepare=job_open),
    Shot("progress-small", LOADING, SMALL, prepare=job_open),
    Shot("result", DONE, prepare=job_open),
    Shot("jobs", DONE, keys=("J",)),
    Shot("palette", keys=("colon",)),
    Shot("help", keys=("question_mark",)),
    *(Shot(f"theme-{path.stem}", theme=path.stem) for path in sorted((ROOT / "themes").glob("*.toml"))),
)


def take(shot: Shot) -> str:
    """The picture as SVG."""
    with surroundings() as state:
        lay_job(state, shot.at)
        svg = asyncio.run(_take(shot, state))
        # Textual numbers its classes by a sum of the content, in which the folder was still the other one.
        return re.sub(r"\bterminal-\d+", "mdr", svg.replace(str(state), STATE))


@contextmanager
def surroundings() -> Iterator[Path]:
    """A state folder, a host's name and a time zone that are the same everywhere."""
    state = Path(tempfile.mkdtemp(prefix="mdr-picture-", dir="/tmp"))
    assert len(str(state)) == len(STATE)
    dashboard = "mongo_dr_console.ui.screens.dashboard"
    environment = {"MDR_STATE_DIR": str(state), "MDR_CONFIG": "/etc/mongo-dr-console/config.toml"}
    try:
        with (
            mock.patch.dict(
                os.environ, {**environment, "TEXTUAL_ANIMATIONS": "none", "COLORTERM": "truecolor"}
            ),
            mock.patch(f"{dashboard}.gethostname", lambda: "bastion-2"),
            mock.patch(f"{dashboard}.local_offset", lambda: timedelta(hours=1)),
            mock.patch("mongo_dr_console.ui.screens.help.__version__", "0.1.0"),
        ):
            os.environ.pop("NO_COLOR", None)
            yield state
    finally:
        shutil.rmtree(state)


def lay_job(state: Path, at: datetime) -> None:
    """The recorded restore's folder as it was at a moment."""
    folder = state / "jobs" / JOB
    folder.mkdir(parents=True)
    shutil.copy(RECORDING / "job" / "plan.json", folder)
    moment = at.strftime("%Y-%m-%dT%H:%M:%S.%f")
    lines = (RECORDING / "job" / JOURNAL).read_text(encoding="utf-8").splitlines(keepends=True)
    # A line begins with {"at":"<time in UTC>
    kept = [line for line in lines if line[7:33] <= moment]
    (folder / JOURNAL).write_text("".join(kept), encoding="utf-8")
    (folder / "lock").touch()


async def _take(shot: Shot, state: Path) -> str:
    recorded = [r for r in read_recording(RECORDING / "run.jsonl").readings if r.at <= shot.at]
    app, clock = console(shot, recorded)
    with held(JobFolder(state / "jobs" / JOB)) if shot.at == LOADING else mock.MagicMock():
        async with app.run_test(size=shot.size) as pilot:
            await play(app, pilot, recorded, clock)
            clock[0] = shot.at
            if shot.prepare is not None:
                await shot.prepare(app, pilot)
            for key in shot.keys:
                await pilot.press("slash" if key == "/" else "full_stop" if key == "." else key)
                await settle(app, pilot)
            app.refresh_view()
            await settle(app, pilot)
            return app.export_screenshot(title=TITLE)


def console(shot: Shot, recorded: list[Recorded]) -> tuple[ConsoleApp, list[datetime]]:
    """The console at the start of the recording, and its clock."""
    first = recorded[0]
    profile = Profile.model_validate(
        {
            "uri": "mongodb://mongo-1:27017/",
            "environment": PRACTICE,
            "access": "restore",
            "stores": {"local": {"type": "local", "path": "/backups/mongodb"}},
            "thresholds": {"margin": {"warning": "10m", "critical": "2m"}},
        }
    )
    desk = PictureDesk(profile, shot.access)
    clock = [first.at]
    feed = FakeFeed(Readings(first.profile, first.environment))
    incidents = dict.fromkeys(("drop-collection", "bad-update", "kill-primary", "lag"), str)
    options = Options(theme=shot.theme, incidents=incidents)
    app = ConsoleApp(desk, feed, options, clock=lambda: clock[0])
    return app, clock


async def play(app: ConsoleApp, pilot: Pilot[None], recorded: list[Recorded], clock: list[datetime]) -> None:
    """Every reading as it came, so that what is drawn from their history is there."""
    assert isinstance(app.feed, FakeFeed)
    for one in recorded:
        clock[0] = one.at
        app.feed.push(with_reading(app.feed.readings, one.reading), one.source)
        if one.source in ("set", "oplog"):
            await pilot.pause()


async def settle(app: ConsoleApp, pilot: Pilot[None]) -> None:
    """Until what was asked for in threads is there and drawn."""
    for _ in range(3):
        await pilot.pause()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                while any(w.is_running and w.group != "watch" for w in app.workers):
                    await pilot.pause()


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await pilot.pause()


class PictureDesk(FakeDesk):
    """Answers as the practice deployment did."""

    def __init__(self, profile: Profile, started_with: Any) -> None:
        super().__init__(profile, started_with)
        self.name = PRACTICE
        self.config_file = Path("/etc/mongo-dr-console/config.toml")
        self.access._name = PRACTICE
        self.access._clock = lambda: 0.0
        self.findings = [Finding(*finding) for finding in FINDINGS]
        self.content = tuple(
            Content(Namespace(*name.split(".")), kind, *size) for name, kind, *size in CONTENT
        )
        request = read_plan(JobFolder(RECORDING / "job")).request
        self.the_plan = Plan.model_validate(request["plan"])


OK, WARNING = Level.FINE, Level.WARNING
FINDINGS: tuple[tuple[Any, ...], ...] = (
    (
        WARNING,
        "snapshot",
        "snapshot",
        "The newest, 20261122_221950 in local, is 45s old and was never restore-tested.",
        "Rehearse it into another place.",
    ),
    (OK, "majority", "majority", "A majority is there; mongo-1:27017 is primary."),
    (OK, "coverage", "coverage", "From 2026-11-22T22:19:50Z to 2026-11-22T22:20:34Z, without a gap."),
    (OK, "state", "state folder", f"{STATE} can be written, 75.1 GiB free."),
    (OK, "login", "login", "A job goes on when this terminal or login ends."),
    (OK, "connection", "connection", "This is practice/practice (6b036a7cab77bd315333ac80)."),
    (OK, "roles", "roles", "mdr@admin may do all that access = 'restore' needs."),
    (OK, "clock", "clock", "This host's clock and the server's agree within 2s."),
    (OK, "server", "server", "mongod 6.0.5: proven."),
    (OK, "writes", "writes", "User writes are not blocked."),
    (OK, "lock", "lock", "No job holds the deployment's lock."),
    (OK, "store", "store local", "/backups/mongodb answers: 1 snapshot."),
)
CONTENT: tuple[tuple[Any, ...], ...] = (
    ("crm.customers", "collection", 20_000, 2_700_000),
    ("crm.tickets", "collection", 8_001, 1_900_000),
    ("shop.carts", "collection", 3_002, 303_000),
    ("shop.open_orders", "view", None, None),
    ("shop.orders", "collection", 40_001, 9_300_000),
    ("shop.products", "collection", 2_000, 322_000),
    ("shop.reviews", "collection", 12_000, 3_250_000),
    ("warehouse.movements", "collection", 12_001, 936_000),
    ("warehouse.stock", "collection", 6_000, 366_000),
)


IN_README = ("dropped", "wizard-2-what-happened", "wizard-5-plan", "wizard-6-confirm", "result")


def png(svg: str, path: Path) -> None:
    """The picture as PNG, for places that show no SVG."""
    import resvg_py

    path.write_bytes(bytes(resvg_py.svg_to_bytes(svg_string=svg, font_family="Fira Code", font_dirs=FONTS)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[[], *(shot.name for shot in SHOTS)])
    parser.add_argument("--png", action="store_true", help="the README's as PNG too")
    wanted = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    for shot in SHOTS:
        if wanted.names and shot.name not in wanted.names:
            continue
        svg = take(shot)
        (OUT / f"{shot.name}.svg").write_text(svg, encoding="utf-8")
        if wanted.png and shot.name in IN_README:
            png(svg, OUT / f"{shot.name}.png")
        print(shot.name)


if __name__ == "__main__":
    main()
