"""Which parameters were compared, counted on real tiny checkpoints."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np

from afterburn_core.plugin.registry import Registry
from afterburn_core.plugin.roles import AnalyzerOutput
from afterburn_core.result.model import Scope
from afterburn_core.run.observations import WeightPair
from afterburn_core.testing import analyze_pair, identity_pair, resharded_pair
from afterburn_core.testing.pairs import PLANTED_TENSOR, added_pair, dropped_pair, prefixed_pair, reshaped_pair
from afterburn_weight.coverage import Coverage

# two blocks of hidden size 16: 5·16·16 + 2·8·16·… counted here once by hand, so that the code is not asked
PARAMETERS = 2 * (16 + 256 + 128 + 128 + 256 + 16 + 3 * 512) + 2 * 48 * 16 + 16


def coverage(pair: Any) -> AnalyzerOutput:
    return analyze_pair(Registry.discover(only=("weight",)).get("analyzer", "weight.coverage").spec, pair)


def values(found: AnalyzerOutput, metric: str) -> dict[str, float | None]:
    return {m.scope.key(): m.value for m in found.measurements if m.metric == metric}


def test_a_copy_is_covered_whole(tmp_path: Path) -> None:
    found = coverage(identity_pair(tmp_path))
    assert values(found, "weight.coverage") == {"model": 1.0}
    assert values(found, "weight.coverage.unexplained") == {"model": 0.0}
    assert found.measurements[0].n == PARAMETERS
    counts = values(found, "weight.coverage.tensors")
    assert counts.pop("subset=matched") == 21
    assert set(counts.values()) == {0.0} and len(counts) == 6


def test_other_shards_are_covered_whole(tmp_path: Path) -> None:
    assert values(coverage(resharded_pair(tmp_path)), "weight.coverage") == {"model": 1.0}


def test_a_missing_tensor_leaves_exactly_its_share_unexplained(tmp_path: Path) -> None:
    found = coverage(dropped_pair(tmp_path))
    assert values(found, "weight.coverage") == {
        "model": (PARAMETERS - 256) / PARAMETERS,
        f"tensor={PLANTED_TENSOR}": 0.0,
    }
    assert values(found, "weight.coverage.unexplained") == {"model": 256 / PARAMETERS}
    assert values(found, "weight.coverage.tensors")["subset=missing"] == 1
    (entry,) = [m for m in found.measurements if m.scope.tensor]
    assert (entry.n, entry.reason) == (256, "only the base model has it; the trained model does not")


def test_an_extra_tensor_counts_in_the_union(tmp_path: Path) -> None:
    found = coverage(added_pair(tmp_path))
    assert values(found, "weight.coverage")["model"] == PARAMETERS / (PARAMETERS + 16)
    assert values(found, "weight.coverage.tensors")["subset=extra"] == 1


def test_a_reshaped_tensor_is_not_compared_and_says_why(tmp_path: Path) -> None:
    found = coverage(reshaped_pair(tmp_path))
    assert values(found, "weight.coverage.unexplained")["model"] == 256 / PARAMETERS
    (entry,) = [m for m in found.measurements if m.scope.tensor]
    assert entry.reason == "shapes differ: 16x16 in base, 16x15 in trained"
    assert entry.scope == Scope(tensor=PLANTED_TENSOR, layer=1, module="q")


def test_wrapper_prefixes_are_stripped_and_reported(tmp_path: Path) -> None:
    found = coverage(prefixed_pair(tmp_path))
    assert values(found, "weight.coverage") == {"model": 1.0}
    assert values(found, "weight.coverage.renamed") == {"model": 21.0}
    (remark,) = found.notifications
    assert "21 tensors are named differently" in remark.message and "_orig_mod." in remark.message


def test_no_values_stay_in_memory_after_a_tensor_was_observed() -> None:
    class Kept(np.ndarray):
        """An array that can be referred to weakly."""

    values_of_the_tensor = np.zeros(4).view(Kept)
    gone = weakref.ref(values_of_the_tensor)

    def side(role: str, start: int, stop: int, held: Any = values_of_the_tensor) -> Any:
        return held[start:stop]

    analyzer = Coverage()
    analyzer.observe(
        WeightPair(
            name="w", scope=Scope(tensor="w"), state="missing", base=None, trained=None, compared=0, union=4,
            explained=False, read_side=side,
        )
    )  # fmt: skip
    del side, values_of_the_tensor
    assert gone() is None
    assert values(analyzer.finish(), "weight.coverage")["model"] == 0.0
