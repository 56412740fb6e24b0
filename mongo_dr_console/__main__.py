"""``python -m mongo_dr_console`` is the command ``mdr``."""

from mongo_dr_console.cli.main import run

if __name__ == "__main__":
    run()
