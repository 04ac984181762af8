"""Writes the attack vectors to a directory, for other verifiers: `python tests/certificates/build.py OUT`.

A folder each: what is presented, and `expected.json` with the code of the refusal (`null` where it must be accepted).
`_fail` ends the name of each that must be refused.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

import vectors

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tests/certificates/build.py OUT")
    print(f"{vectors.write(Path(sys.argv[1]), vectors.vectors())} vectors in {sys.argv[1]}")
