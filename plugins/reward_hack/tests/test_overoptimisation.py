from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from afterburn_reward_hack.over_commands import over_optimisation, told
from afterburn_reward_hack.overoptimisation import Checkpoint, course


def series(alpha: float, beta: float, distances: list[float], *, noise: float, n: int = 400) -> list[Checkpoint]:
    rng = np.random.default_rng(11)
    found = []
    for number, d in enumerate(distances):
        gold = d * (alpha - beta * math.log(d)) + noise * rng.normal(size=n)
        units = {f"p{i}": float(g) for i, g in enumerate(gold)}
        found.append(Checkpoint(label=f"step-{number}", distance=d, reward=dict.fromkeys(units, d), gold=units))
    return found


def test_the_highest_point_of_a_course_is_found_with_its_interval() -> None:
    found = course(series(0.5, 0.4, [0.5, 1.0, 2.0, 3.0, 4.0], noise=0.1))
    law = found.laws[0]
    assert law.law == "reinforcement learning"
    assert (law.alpha, law.beta) == (pytest.approx(0.5, abs=0.02), pytest.approx(0.4, abs=0.02))
    truth = math.exp(0.5 / 0.4 - 1)  # 1.28
    assert law.low < truth < law.high < 1.6
    assert [point.past for point in found.points] == [False, False, True, True, True]


def test_quality_that_still_rises_has_no_highest_point() -> None:
    found = course(series(0.5, -0.1, [0.5, 1.0, 2.0, 4.0], noise=0.01))
    assert math.isinf(found.laws[0].best) and not any(point.past for point in found.points)
    assert "quality still rises" in "\n".join(told(found))


@pytest.mark.parametrize(
    ("checkpoints", "fault"),
    [
        (series(1, 1, [1.0, 2.0], noise=0.1), "2 checkpoints"),
        (series(1, 1, [1.0, 1.0, 2.0], noise=0.1), "distance of its own"),
    ],
)
def test_what_is_no_course_is_refused(checkpoints: list[Checkpoint], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        course(checkpoints)


def test_a_directory_that_is_no_run_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps({}), encoding="utf-8")
    finished = CliRunner().invoke(over_optimisation, [str(tmp_path)] * 3)
    assert finished.exit_code != 0 and "schema_version" in str(finished.exception)
