"""How far a job's step is, in words: on a terminal, in a console, in a page."""

from __future__ import annotations

import humanize

from mongo_dr_console.model.jobview import StepView


def progress_text(step: StepView) -> str:
    """``replay  43%  8,600 of 20,000 operations  3,400/s  3 s left``, what is known of it."""
    return "  ".join([step.step, *progress_parts(step).values()])


def progress_parts(step: StepView) -> dict[str, str]:
    """What is known of how far a step is, by name: percent, count, rate, left, detail."""
    parts = {}
    if step.percent is not None:
        parts["percent"] = f"{step.percent:3.0f}%"
    if step.total is not None:
        parts["count"] = f"{amount(step.done, step)} of {amount(step.total, step)} {_unit(step)}".rstrip()
    elif step.done:
        parts["count"] = f"{amount(step.done, step)} {_unit(step)}".rstrip()
    if step.rate is not None:
        parts["rate"] = f"{amount(round(step.rate), step)}/s"
    if step.eta_seconds is not None:
        parts["left"] = f"{seconds_text(step.eta_seconds)} left"
    if step.detail:
        parts["detail"] = step.detail
    return parts


def done_text(step: StepView) -> str:
    """``replay: done, 20,000 operations in 5.9 s``."""
    what, detail = done_parts(step)
    return f"{step.step}: done, {what}" + (f" ({detail})" if detail else "")


def done_parts(step: StepView) -> tuple[str, str]:
    """What a finished step did in which time, and what else there is to say of it (may be empty)."""
    what = f"{amount(step.done, step)} {_unit(step)}".rstrip() + " " if step.done else ""
    more = step.detail if step.detail != f"{step.done} {step.unit}" else ""
    return f"{what}in {seconds_text(step.seconds)}", more


def amount(count: int, step: StepView) -> str:
    return humanize.naturalsize(count, binary=True) if step.unit == "bytes" else f"{count:,}"


def _unit(step: StepView) -> str:
    """Singular where it is one: ``1 collection``, ``0 of 1 collection``."""
    if step.unit == "bytes":
        return ""
    if (step.total if step.total is not None else step.done) == 1:
        return {"indexes": "index"}.get(step.unit, step.unit.removesuffix("s"))
    return step.unit


def seconds_text(seconds: float) -> str:
    """``4.2 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
