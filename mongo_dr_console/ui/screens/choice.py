"""A plain question: yes, or Cancel."""

from __future__ import annotations

from mongo_dr_console.ui.screens.dialog import Dialog


class Choice(Dialog[bool]):
    """Asks before something is done; the answer is True, or None of whoever cancels."""

    def answer(self) -> bool:
        return True
