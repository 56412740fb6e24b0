"""Only the cells that changed go to the terminal: over SSH a second's tick costs a few hundred bytes.

Textual knows which cells changed and sends each row from its widget's left edge up to them; for ages at the
right of a panel that is the whole row, once a second.
"""

from __future__ import annotations

from rich.console import Console, RenderableType
from rich.control import Control
from textual._compositor import ChopsUpdate


class NarrowUpdate(ChopsUpdate):
    """The same update, cut at both ends of what changed."""

    def render_segments(self, console: Console) -> str:
        sent: list[str] = []
        for y, first, last in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                if strip is None or x >= last or end <= first:
                    continue
                left = max(x, first)
                sent.append(Control.move_to(left, y).segment.text)
                sent.append(strip.crop(left - x, min(end, last) - x).render(console))
        return "".join(sent)


def narrowed(renderable: RenderableType | None) -> RenderableType | None:
    """An update of changed cells made narrow; anything else as it is."""
    if type(renderable) is ChopsUpdate:
        return NarrowUpdate(renderable.chops, renderable.spans, renderable.chop_ends)
    return renderable
