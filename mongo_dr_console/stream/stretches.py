"""Asking what keeps the oplog about the joints, for ``model.coverage``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from mongo_dr_console.model.position import Position
from mongo_dr_console.model.stretch import Stretch, stretch_questions
from mongo_dr_console.model.trouble import Trouble
from mongo_dr_console.stream.keep import Keep


def answered(
    stretches: Sequence[Stretch], bases: Iterable[Position], keeps: Mapping[str, Keep]
) -> list[Stretch]:
    """The stretches with what they have where snapshots and other stretches end. Where that cannot be read,
    it stays unknown, and nothing is joined there.

    Args:
        keeps: By the stretches' source.
    """
    found = []
    for stretch, wanted in zip(stretches, stretch_questions(stretches, bases), strict=True):
        hashes = dict(stretch.hashes)
        for position in wanted:
            try:
                link = keeps[stretch.source].link_in(stretch, position)
            except Trouble:
                continue
            hashes[position] = None if link is None else link.hash
        found.append(replace(stretch, hashes=hashes))
    return found
