"""Memory that stays with the process during a pass and goes back after it."""

from __future__ import annotations

import sys
import threading

import pytest

from afterburn_core.run import heap
from afterburn_core.run.heap import kept_heap


def faults() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone can be told")
def test_blocks_freed_and_asked_for_again_cost_no_page_faults() -> None:
    import torch

    def work() -> int:
        before = faults()
        for _ in range(20):
            torch.ones(2_000_000).exp_()
        return faults() - before

    with kept_heap():
        work()
        inside = work()
    assert inside < 2000  # a fault per page would be 40 000


def test_contexts_nest_and_overlap_without_losing_count() -> None:
    def hold() -> None:
        with kept_heap(), kept_heap():
            pass

    threads = [threading.Thread(target=hold) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heap._holders == 0


def test_an_exception_inside_goes_through() -> None:
    with pytest.raises(ValueError, match="inside"), kept_heap():
        raise ValueError("inside")
    assert heap._holders == 0
