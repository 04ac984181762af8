"""How long a printed report takes and how long it becomes, for a document of 50 000 tensors beside its table.

Prints one line of JSON; the exit status is 1 where a report misses 60 pages or 10 seconds on an idle core. Seconds are
those of this process, the import of WeasyPrint and of our modules left out.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.append(str(Path(__file__).parent.parent))
from pdf_pages import opened
from test_report_samples import clean, large

from afterburn_core.report.pdf import render
from afterburn_core.result.table import spill
from afterburn_core.result.view import ResultView

TENSORS, PAGES, SECONDS = 50_000, 60, 10.0


def main() -> int:
    render(ResultView(clean(), None))  # what is imported and built once
    with TemporaryDirectory() as folder:
        view = ResultView(spill(large(TENSORS), Path(folder), limit=20_000), Path(folder))
        before = time.process_time()
        content = render(view)
        seconds = time.process_time() - before
    pages = len(opened(content).pages)
    found = {"tensors": TENSORS, "pages": pages, "seconds": round(seconds, 2), "bytes": len(content)}
    sys.stdout.write(json.dumps(found) + "\n")
    return int(pages > PAGES or seconds > SECONDS)


if __name__ == "__main__":
    sys.exit(main())
