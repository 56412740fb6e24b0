"""``python -m mongo_dr_console.agent CONFIG PROFILE``: the agent of one profile of one config file, as the
practice deployment runs it."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from mongo_dr_console.agent.run import run_agent
from mongo_dr_console.config import load_config
from mongo_dr_console.model.trouble import Trouble


def main(words: list[str]) -> int:
    config, name = words
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        profile = load_config(Path(config)).profiles[name]
        return 0 if run_agent(name, profile, stop, lambda text: print(text, file=sys.stderr)) else 1
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
