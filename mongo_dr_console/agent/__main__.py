"""``python -m mongo_dr_console.agent CONFIG [PROFILE]``: the agent of one profile of one config file, as the
practice deployment runs it, or of all."""

from __future__ import annotations

import sys
from pathlib import Path

from mongo_dr_console.agent.log import Log
from mongo_dr_console.agent.run import run_agent
from mongo_dr_console.model.trouble import Trouble


def main(words: list[str]) -> int:
    config, *names = words
    try:
        return 0 if run_agent(Path(config), names, Log()) else 1
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return int(trouble.exit_code)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
