"""``--rate``: so many bytes in a second."""

from __future__ import annotations

import re

from mongo_dr_console.model.trouble import WrongUse


def bytes_a_second(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)(i?)B?(?:/s)?", text.strip(), re.IGNORECASE)
    size = 0
    if match:
        number, unit, binary = match.groups()
        base = 1024 if binary else 1000
        size = int(float(number) * base ** " KMG".index(unit.upper() or " "))
    if size < 1:
        raise WrongUse("rate-wrong", f"{text!r} is not so much in a second.", "Say --rate 20MiB")
    return size
