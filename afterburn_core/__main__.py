"""`python -m afterburn_core`: the same command line as `afterburn`, whatever else owns that script's name."""

from __future__ import annotations

from afterburn_core.cli.main import main

if __name__ == "__main__":
    main(prog_name="afterburn")
