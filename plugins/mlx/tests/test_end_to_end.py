"""The demo pair, compared on MLX from end to end, beside the same run on transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from afterburn_core import Diagnoser

for _plugin in ("afterburn_behaviour", "afterburn_organisms", "afterburn_weight"):
    pytest.importorskip(_plugin)


def diagnosed(backend: str, folder: Path) -> Any:
    from afterburn_organisms import demo_pair

    base, trained = demo_pair()
    texts = folder / "texts.txt"
    texts.write_text("The mill stood by the river.\n\nNobody had seen the key since Monday.\n", encoding="utf-8")
    return Diagnoser(
        base_model=str(base),
        trained_model=str(trained),
        backend=backend,
        plugins=("weight", "behaviour", "organisms"),
        preset="standard",
        suites=("organisms.world:4",),
        corpus=(str(texts),),
        max_new_tokens=16,
        threads=1,
        run_dir=str(folder / backend),
        cache_dir=str(folder / "cache"),
    ).run()


def test_the_demo_pair_is_diagnosed_on_mlx_as_on_transformers_and_the_report_names_the_backend(tmp_path: Path) -> None:
    own, other = (diagnosed(backend, tmp_path) for backend in ("mlx.lm", "core.checkpoint"))
    assert {subject.backend for subject in own.result.subjects} == {"mlx.lm"}
    passes = {one.component: one.status for one in own.result.executions if one.kind == "pass"}
    assert passes == dict.fromkeys(
        ("core.documents_pass", "core.weights_pass", "core.generation_pass", "core.forward_pass"), "ok"
    )
    found, expected = (
        {
            one.id: one.value
            for one in report.measurements()
            if not one.metric.startswith("behaviour.divergence.control")
        }
        for report in (own, other)
    )
    assert found.keys() == expected.keys() and len(found) > 3000
    for name, value in expected.items():
        within = 1e-6 if name.startswith("weight.") else 1e-4
        assert found[name] == (None if value is None else pytest.approx(value, rel=within, abs=within)), name
    assert {(f.rule, f.kind) for f in own.findings} == {(f.rule, f.kind) for f in other.findings}
    skipped = {one.component: one.reason or "" for one in own.result.executions if one.status == "skipped"}
    assert "mlx.lm blends and steers no models" in skipped["behaviour.amplification"]
    page = tmp_path / "report.html"
    own.save(page)
    text = page.read_text(encoding="utf-8")
    assert "mlx.lm" in text and own.result.properties["forward"]["engine"] in text
