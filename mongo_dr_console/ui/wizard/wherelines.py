"""Where a restore goes and what it does to live data. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mongo_dr_console.model.plan import Mode
from mongo_dr_console.model.wizard import WizardState, merge_problem
from mongo_dr_console.ui.lines import Line, line, wrapped
from mongo_dr_console.ui.widgets.row_list import RowItem
from mongo_dr_console.workers.desk import Target

MODES: tuple[tuple[Mode, str], ...] = (
    (
        "swap",
        "Restores beside the live collections, checks, and puts the restored ones in their place at once. "
        "The live ones are kept aside until you accept; undo puts them back.",
    ),
    (
        "in-place",
        "DROPS the live collections, then restores; a safety snapshot is taken first. There is no undo.",
    ),
    ("beside", "Restores under new names. Nothing that is live is touched."),
    (
        "merge",
        "Brings back only the documents that the event removed or changed, into the live collections. What "
        "was written since is left as it is, and listed. Undo takes back what was not written again.",
    ),
)


def target_items(targets: Sequence[Target], chosen: str | None, *, down: bool) -> list[RowItem]:
    """The deployments; the one that is watched first. ``down``: that it does not answer."""
    found = []
    for target in targets:
        gone = target.same and down
        mark = " ✗ " if target.refusal or gone else "(●)" if _is(target, chosen) else "( )"
        said = "the one that is watched" if target.same else "another deployment"
        if target.refusal or gone:
            said = target.refusal or f"{said}; does not answer"
        found.append(
            RowItem(
                target.name,
                line(f"{mark} ", (target.name, "strong"), (f"  {target.environment}; {said}", "dim")),
            )
        )
    return found


def _is(target: Target, chosen: str | None) -> bool:
    return target.same if chosen is None else target.name == chosen


def mode_items(state: WizardState) -> list[RowItem]:
    found = []
    for mode, _ in MODES:
        mark = "(●)" if state.mode == mode else "( )"
        if mode == "merge" and merge_problem(state):
            found.append(RowItem(mode, line((f"{mark} {mode}", "dim"), ("  not for what was chosen", "dim"))))
        else:
            found.append(RowItem(mode, line(f"{mark} {mode}")))
    return found


def mode_said(state: WizardState, width: int) -> list[Line]:
    """What the chosen mode does to live data."""
    text = dict(MODES)[state.mode]
    if state.mode == "merge" and (why := merge_problem(state)):
        return wrapped(f"Not possible: {why}", width, "warning")
    if state.target is not None:
        text += f" All of this happens in {state.target}, not in the deployment that is watched."
    return wrapped(text, width, "critical" if state.mode == "in-place" else "strong")


def rename_items(renames: Sequence[str]) -> list[RowItem]:
    found = []
    for text in renames:
        source, _, target = text.partition("=")
        found.append(RowItem(source, line(f"{source} → ", (target, "strong"))))
    return found


def renames_said(state: WizardState) -> str:
    if not state.renames:
        return "Every collection gets the time of the limit behind its name, as in orders_20261122_021131."
    return "Enter changes the new name of the row under the cursor."
