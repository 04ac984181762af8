"""Token scores against float64 over the whole vocabulary."""

from __future__ import annotations

import math

import pytest
import torch

from afterburn_core.forward.model import TokenScores
from afterburn_core.forward.scores import joined, token_scores


def distributions(seed: int, m: int, vocabulary: int, shift: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Two sets of log-probabilities, float32, whose logits differ by normal noise of size `shift`."""
    generator = torch.Generator().manual_seed(seed)
    base = 3 * torch.randn(m, vocabulary, generator=generator)
    trained = base + shift * torch.randn(m, vocabulary, generator=generator)
    return base.log_softmax(-1), trained.log_softmax(-1)


def exact(base: torch.Tensor, trained: torch.Tensor) -> dict[str, torch.Tensor]:
    """The definitions, term by term in float64, of the distributions that float32 holds."""
    b, f = base.double().log_softmax(-1), trained.double().log_softmax(-1)
    p, q = b.exp(), f.exp()
    m = ((p + q) / 2).log()
    return {
        "kl": (q * (f - b)).sum(-1),
        "kl_reverse": (p * (b - f)).sum(-1),
        "jsd": 0.5 * (p * (b - m)).sum(-1) + 0.5 * (q * (f - m)).sum(-1),
        "total_variation": 0.5 * (p - q).abs().sum(-1),
        "base_entropy": -(p * b).sum(-1),
        "trained_entropy": -(q * f).sum(-1),
    }


def scores(base: torch.Tensor, trained: torch.Tensor, target: torch.Tensor | None = None) -> TokenScores:
    return token_scores(base, trained, torch.full((len(base),), -1) if target is None else target)


@pytest.mark.parametrize("vocabulary", [2, 40, 129, 1500, 32000])
@pytest.mark.parametrize("shift", [3e-3, 0.05, 0.5, 3.0, 20.0])
def test_divergences_and_entropies_equal_their_float64_definitions(vocabulary: int, shift: float) -> None:
    base, trained = distributions(1, 16, vocabulary, shift)
    found = scores(base, trained)
    for name, value in exact(base, trained).items():
        # an entropy near 0 is a sum of terms p·ln p with ln p rounded at 1
        atol = 2e-7 if "entropy" in name else 2e-9
        torch.testing.assert_close(getattr(found, name).double(), value, rtol=2e-3, atol=atol, msg=name)


@pytest.mark.parametrize("vocabulary", [1500, 150_000])
def test_a_divergence_of_a_millionth_is_right_to_one_per_cent(vocabulary: int) -> None:
    base, trained = distributions(2, 4, vocabulary, 1.42e-3)
    found, value = scores(base, trained), exact(base, trained)
    assert 0.5e-6 < float(value["kl"].mean()) < 2e-6
    for name in ("kl", "kl_reverse", "jsd"):
        error = (getattr(found, name) - value[name]).abs() / value[name]
        assert float(error.max()) < 0.01, name


def test_divergences_of_a_distribution_with_itself_are_exactly_zero() -> None:
    base, _ = distributions(3, 8, 5000, 1.0)
    found = scores(base, base.clone())
    for name in ("kl", "kl_reverse", "jsd", "total_variation"):
        assert torch.count_nonzero(getattr(found, name)) == 0, name
    assert not found.flipped.any()
    assert torch.equal(found.base_entropy, found.trained_entropy)


@pytest.mark.parametrize("shift", [1e-6, 1e-4, 1e-2, 1.0, 30.0])
def test_divergences_are_never_negative(shift: float) -> None:
    found = scores(*distributions(4, 64, 3000, shift))
    for name in ("kl", "kl_reverse", "jsd"):
        assert float(getattr(found, name).min()) >= 0, name
    assert float(found.jsd.max()) <= math.log(2) + 1e-6


def test_disjoint_distributions_reach_the_bounds() -> None:
    base = torch.full((1, 200), -300.0)
    trained = base.clone()
    base[0, 3], trained[0, 7] = 0.0, 0.0
    found = scores(base, trained)
    assert float(found.jsd) == pytest.approx(math.log(2), rel=1e-5)
    assert float(found.total_variation) == pytest.approx(1.0)
    assert float(found.kl) == pytest.approx(300.0, rel=1e-5)
    assert bool(found.flipped)


def test_swapping_the_sides_swaps_the_two_divergences_and_keeps_the_symmetric_ones() -> None:
    base, trained = distributions(5, 16, 2000, 0.7)
    one, other = scores(base, trained), scores(trained, base)
    torch.testing.assert_close(one.kl, other.kl_reverse, rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(one.jsd, other.jsd, rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(one.total_variation, other.total_variation, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("vocabulary", [2, 63, 64, 128, 129, 191, 192, 193, 4000])
def test_tops_ranks_and_margins_equal_a_full_sort(vocabulary: int) -> None:
    base, trained = distributions(6, 50, vocabulary, 2.0)
    target = torch.randint(0, vocabulary, (50,), generator=torch.Generator().manual_seed(7))
    target[::5] = -1
    found = scores(base, trained, target)
    for row in range(50):
        order_b = base[row].sort(descending=True)
        order_t = trained[row].sort(descending=True)
        assert bool(found.flipped[row]) == bool(order_b.indices[0] != order_t.indices[0])
        assert int(found.top_rank[row]) == int((order_t.indices == order_b.indices[0]).nonzero()[0, 0])
        assert float(found.base_margin[row]) == pytest.approx(float(order_b.values[0] - order_b.values[1]), abs=1e-6)
        assert float(found.trained_margin[row]) == pytest.approx(float(order_t.values[0] - order_t.values[1]), abs=1e-6)
        if target[row] < 0:
            assert int(found.base_rank[row]) == int(found.trained_rank[row]) == -1
            assert math.isnan(found.base_nll[row])
            assert math.isnan(found.trained_nll[row])
        else:
            assert int(found.base_rank[row]) == int((order_b.indices == target[row]).nonzero()[0, 0])
            assert int(found.trained_rank[row]) == int((order_t.indices == target[row]).nonzero()[0, 0])
            assert float(found.trained_nll[row]) == pytest.approx(-float(trained[row, target[row]]))


def test_equal_largest_entries_name_the_first_on_both_sides() -> None:
    logits = torch.zeros(1, 300)
    logits[0, [70, 71, 299]] = 5.0
    found = scores(logits.log_softmax(-1), logits.log_softmax(-1))
    assert not bool(found.flipped)
    assert float(found.base_margin) == 0.0


def test_joined_chunks_equal_the_whole() -> None:
    base, trained = distributions(8, 30, 700, 0.3)
    target = torch.arange(30)
    whole = token_scores(base, trained, target)
    parts = joined([token_scores(base[i : i + 7], trained[i : i + 7], target[i : i + 7]) for i in range(0, 30, 7)])
    for name in TokenScores.__annotations__:
        left, right = getattr(whole, name), getattr(parts, name)
        assert (left is None and right is None) or torch.equal(left, right), name
