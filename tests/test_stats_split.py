"""Halves fixed by content and key, and hypotheses that are tested where nobody looked for them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from afterburn_core.stats.contrast import Contrast
from afterburn_core.stats.paired import paired_contrast
from afterburn_core.stats.split import discover_then_confirm, half, split

CONTENTS = {f"p{i}": f"What is {i} plus {i * i}?" for i in range(400)}


def test_a_prompt_keeps_its_half_whatever_else_there_is() -> None:
    whole = split(CONTENTS, key="seed 7")
    part = split({name: CONTENTS[name] for name in reversed(list(CONTENTS)[:50])}, key="seed 7")
    assert set(part.discover) <= set(whole.discover) and set(part.confirm) <= set(whole.confirm)
    assert set(whole.discover) | set(whole.confirm) == set(CONTENTS)
    assert 160 <= len(whole.discover) <= 240
    assert split(dict(reversed(CONTENTS.items())), key="seed 7").digest == whole.digest
    assert part.digest != whole.digest


def test_equal_content_stays_together_and_keys_split_independently() -> None:
    assert half("same", key="k") == half("same", key="k")
    agree = np.mean([half(text, key="a") == half(text, key="b") for text in CONTENTS.values()])
    assert agree == pytest.approx(0.5, abs=0.1)


def test_the_half_is_the_same_in_another_process() -> None:
    code = "from afterburn_core.stats.split import half; print(''.join(half(str(i), key='k')[0] for i in range(64)))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == "".join(half(str(i), key="k")[0] for i in range(64))


def test_what_a_search_finds_in_noise_is_not_confirmed() -> None:
    """The worst of 40 columns of noise: discovered in most trials, confirmed at the nominal rate."""
    halves = split({name: CONTENTS[name] for name in list(CONTENTS)[:80]}, key="k")
    rng = np.random.default_rng(0)
    p_values = []
    for trial in range(200):
        rows = {name: rng.standard_normal(40) for name in (*halves.discover, *halves.confirm)}

        def search(ids: tuple[str, ...], rows: dict[str, np.ndarray] = rows) -> list[int]:
            assert set(ids) == set(halves.discover)
            return [int(np.abs(np.mean([rows[i] for i in ids], axis=0)).argmax())]

        def test(column: int, ids: tuple[str, ...], rows: dict[str, np.ndarray] = rows, seed: int = trial) -> Contrast:
            return paired_contrast([rows[i][column] for i in ids], seed=seed)

        (found,) = discover_then_confirm(halves, search=search, test=test)
        assert found.discovered.test is not None and found.confirmed.test is not None
        p_values.append((found.discovered.test.p_value, found.confirmed.test.p_value))
    discovered, confirmed = (np.array(p_values) <= 0.05).mean(axis=0)
    assert discovered > 0.7
    assert confirmed <= 0.05 + 2 * (0.05 * 0.95 / 200) ** 0.5


def test_too_few_to_confirm_on_is_said() -> None:
    halves = split({"a": "x", "b": "y", "c": "z"}, key="k")
    (found,) = discover_then_confirm(
        halves, search=lambda ids: ["h", "h"], test=lambda h, ids: Contrast(n=len(ids), estimate=1.0)
    )
    assert found.confirmed.estimate is None and "of at least 6" in (found.confirmed.reason or "")
