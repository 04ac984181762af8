"""The numbers behind features: gradients, fit, contexts, noise, and how often nothing is called something."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch

from afterburn_core.run.seeds import child_seed
from afterburn_core.stats.effects import cohens_dz
from afterburn_sae.attribution import attributions, gradients
from afterburn_sae.contexts import Contexts, KeptCodes
from afterburn_sae.dictionary import Dictionary
from afterburn_sae.encoded import Codes, encode, reconstruct
from afterburn_sae.features_contrast import contrasted
from afterburn_sae.features_statistics import changes, least_differing, multiples
from afterburn_sae.features_tally import Paired, Tally, table
from afterburn_sae.normalisation import Normalisation
from afterburn_sae.validity import Fit, misplaced, unexplained


def dictionary(n: int = 40, d: int = 12, **settings: object) -> Dictionary:
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(n, d, generator=generator)
    return Dictionary(
        format="test",
        w_enc=rows.T.contiguous(),
        b_enc=torch.randn(n, generator=generator),
        w_dec=torch.randn(n, d, generator=generator),
        b_dec=torch.randn(d, generator=generator),
        **{"kind": "relu", **settings},  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"kind": "topk", "k": 5},
        {"rescale_by_decoder_norm": True},
        {"normalisation": Normalisation(kind="layer_norm"), "subtract_b_dec": True},
        {"kind": "jumprelu", "threshold": 2.0, "normalisation": Normalisation.fixed(scale=0.5)},
    ],
    ids=["relu", "topk", "rescaled", "layer norm", "jumprelu, scaled"],
)
def test_sparse_codes_hold_and_rebuild_what_dense_ones_do(settings: dict[str, object]) -> None:
    one, x = dictionary(**settings), torch.randn(30, 12, generator=torch.Generator().manual_seed(2))
    found, dense = encode(x, one), one.encode(x)
    rebuilt = torch.zeros_like(dense)
    rebuilt[found.rows, found.features] = found.values
    assert torch.equal(rebuilt, dense) and bool((found.rows.diff() >= 0).all())
    assert torch.allclose(reconstruct(x, found, one), one.decode(dense, x), atol=1e-5)
    some = encode(x, one, features=(7, 3))
    assert torch.allclose(
        torch.zeros(30, 40).index_put_((some.rows, some.features), some.values)[:, [3, 7]], dense[:, [3, 7]], atol=1e-6
    )


def test_gradients_and_attributions_are_those_of_the_formula() -> None:
    generator = torch.Generator().manual_seed(3)
    head, x = torch.randn(9, 12, generator=generator), torch.randn(6, 12, generator=generator)
    target = torch.tensor([0, 8, 3, 3, 1, 2])
    g = gradients(lambda states: 10 * torch.tanh(states @ head.T / 10), x, target, 9)
    logits = x.double() @ head.T.double()
    p = (10 * torch.tanh(logits / 10)).softmax(1)
    slope = 1 - torch.tanh(logits / 10) ** 2
    expected = ((torch.eye(9).double()[target] - p) * slope) @ head.double()
    assert torch.allclose(g.double(), expected, atol=1e-5)

    one = dictionary(normalisation=Normalisation(kind="constant_norm"), rescale_by_decoder_norm=True)
    both = Paired(
        row=torch.tensor([0, 0, 4]),
        feature=torch.tensor([2, 39, 2]),
        base=torch.tensor([0.0, 1.5, 2.0]).double(),
        trained=torch.tensor([1.0, 0.0, 2.5]).double(),
    )
    kept = g.clone()
    kept[4] = 0  # a row that is left out
    found = attributions(both, kept, x, one)
    for i, (row, feature) in enumerate(((0, 2), (0, 39))):
        direction = one.w_dec[feature] / one.w_dec[feature].norm() * x[row].norm() / 12**0.5
        assert float(found[i]) == pytest.approx(float((both.trained - both.base)[i] * (direction @ g[row])), rel=1e-5)
    assert float(found[2]) == 0.0


def tallies(difference: np.ndarray, base: np.ndarray | None = None) -> dict[str, Tally]:
    """One passage of one token for each row, features by column."""
    shown = np.abs(difference) if base is None else base
    columns = np.arange(difference.shape[1], dtype=np.int32)
    found = {}
    for i, (row, below) in enumerate(zip(difference, shown, strict=True)):
        active = (row != 0) | (below != 0)
        found[f"{i:04d}"] = Tally(
            unit=f"{i:04d}",
            domain="test",
            tokens=1,
            variant=None,
            features=columns[active],
            base=below[active].astype(np.float32),
            difference=row[active].astype(np.float32),
            base_active=np.ones(active.sum(), dtype=np.int32),
            trained_active=np.ones(active.sum(), dtype=np.int32),
        )
    return found


def test_prompts_are_the_unit_and_only_what_can_be_called_is_tested() -> None:
    difference = np.zeros((40, 4))
    difference[:, 0] = np.linspace(0.5, 1.5, 40)
    difference[:6, 1] = 1.0  # as few as can reach .05
    difference[:5, 2] = 1.0  # one too few
    difference[:, 3] = np.tile([1.0, -1.0], 20)
    read = tallies(difference)
    # a second passage of the first prompt, of three tokens: the prompt counts once, tokens together
    read["9999"] = Tally(
        unit="0000",
        domain="test",
        tokens=3,
        variant=None,
        features=np.array([0], dtype=np.int32),
        base=np.zeros(1, np.float32),
        difference=np.array([1.5], np.float32),
        base_active=np.zeros(1, np.int32),
        trained_active=np.array([3], np.int32),
    )
    found = changes(table(read), alpha=0.05, active=0.005, seed=1)
    assert found.prompts == 40 and found.tested.tolist() == [True, True, False, True]
    assert found.changed.tolist() == [1, 1, 0, 0]
    assert found.difference[0] == pytest.approx((difference[1:, 0].sum() + (0.5 + 1.5) / 4) / 40)
    assert found.p[1] == pytest.approx(2 / 2**6) and least_differing(0.05) == 6
    assert found.order().tolist() == [0, 1, 3, 2]
    assert multiples(np.array([0.0, 3.0, 1.0, 0.0]), np.array([1.0, 1.0, 1.0, 0.0]), 0.5).tolist() == pytest.approx(
        [3.0, -3.5 / 1.5, 1.0, 1.0]
    )
    assert np.isnan(multiples(np.zeros(1), np.zeros(1), 0.0)[0])


def test_a_small_spread_about_a_large_difference_is_not_lost_to_cancellation() -> None:
    difference = np.zeros((30, 2))
    difference[:, 0] = np.float32(1) + np.arange(30) * np.spacing(np.float32(1))
    difference[:20, 1] = np.linspace(1, 2, 20)
    found = changes(table(tallies(difference)), alpha=0.05, active=0.005, seed=1)
    exact = [cohens_dz(np.float32(column).astype(np.float64)) for column in difference.T]
    assert found.d_z == pytest.approx(exact, rel=1e-7)


def test_a_pruned_latent_leaves_the_reconstruction_of_the_others() -> None:
    one, x = dictionary(rescale_by_decoder_norm=True), torch.randn(9, 12, generator=torch.Generator().manual_seed(4))
    one.w_dec[5] = 0.0
    assert torch.allclose(one.decode(one.encode(x), x), reconstruct(x, encode(x, one), one), atol=1e-5)


@pytest.mark.slow
def test_under_exchangeable_noise_any_feature_is_called_no_more_often_than_alpha() -> None:
    rng = np.random.default_rng(5)
    runs, called = 400, 0
    loading = rng.normal(size=(6, 300))
    for run in range(runs):
        # correlated, heavy-tailed, sparse; whose side is whose is a coin's throw for each prompt
        sides = rng.standard_t(3, size=(2, 48, 6)) @ loading + rng.standard_t(3, size=(2, 48, 300))
        sides = np.maximum(sides - rng.uniform(1, 8, size=300), 0)
        read = tallies(sides[1] - sides[0], sides[0])
        found = changes(table(read), alpha=0.05, active=0.005, seed=run)
        assert found.tested.sum() > 50
        called += bool((found.changed != 0).any())
    assert called / runs <= 0.05 + 2 * (0.05 * 0.95 / runs) ** 0.5


def test_the_fit_is_the_ratio_over_all_tokens() -> None:
    rng = np.random.default_rng(7)
    passages = [rng.normal(loc=50.0, size=(n, 8)) for n in (5, 9, 2, 30)]
    errors = [one * rng.normal(scale=0.01, size=one.shape) for one in passages]
    read = {
        f"p{i}": Fit(
            unit=f"u{i // 2}",
            tokens=len(x),
            error=float((e**2).sum()),
            squares=float((x**2).sum()),
            sums=x.sum(axis=0),
            active=4.0 * len(x),
        )
        for i, (x, e) in enumerate(zip(passages, errors, strict=True))
    }
    every = np.concatenate(passages)
    expected = sum((e**2).sum() for e in errors) / ((every - every.mean(axis=0)) ** 2).sum()
    found = unexplained(read, seed=child_seed(1, "x"))
    assert found.estimate == pytest.approx(expected, rel=1e-9) and found.n == 2


def test_what_is_kept_of_contexts_depends_on_neither_order_nor_division() -> None:
    rng = np.random.default_rng(9)

    def passage(size: int) -> KeptCodes:
        return KeptCodes(
            domain="d",
            tokens=np.arange(4, dtype=np.int32),
            feature=np.arange(size, dtype=np.int32),
            place=np.zeros(size, dtype=np.int16),
            values=rng.uniform(0.1, 1, size=(2, size)).astype(np.float32),
        )

    every = {f"p{i}": passage(int(rng.integers(1, 60))) for i in range(30)}

    def keep(names: list[str]) -> Contexts:
        kept = Contexts(key="k", budget=3000)
        for name in names:
            kept._add(name, lambda name=name: every[name])  # type: ignore[misc]
        return kept

    whole = keep(list(every))
    parts = [keep(sorted(every, reverse=True)[k::3]) for k in range(3)]
    for part in parts[1:]:
        parts[0].merge(part)
    assert 0 < len(whole) < 30 and whole._kept.keys() == parts[0]._kept.keys() == keep(sorted(every)[::-1])._kept.keys()
    peaks = whole.of(0, 2, str)
    assert [one["subject"] for one in peaks] == ["base"] * 2 + ["trained"] * 2
    assert peaks[0]["pieces"][peaks[0]["peak"]][1] == max(round(float(k.values[0, 0]), 4) for k in whole._kept.values())


@pytest.mark.parametrize(
    ("model", "config", "label", "fits"),
    [
        ("gemma-2-2b", {"hidden_size": 12, "model_type": "gemma2"}, "checkpoint-7", True),
        ("gemma-2-2b", {"hidden_size": 12, "model_type": "gemma2"}, "google/gemma-2-2b-it", True),
        ("gemma-2-2b", {"hidden_size": 12, "model_type": "gemma2"}, "google/gemma-2-9b", False),
        ("gpt2-small", {"n_embd": 12, "model_type": "gpt2"}, "openai-community/gpt2", True),
        ("EleutherAI/pythia-70m", {"hidden_size": 12, "model_type": "llama"}, "base", False),
        (None, {"text_config": {"hidden_size": 24}}, "base", False),
    ],
    ids=["a folder", "a chat model", "another size", "a shorter name", "another family", "another width"],
)
def test_whose_a_dictionary_is(model: str | None, config: dict[str, object], label: str, fits: bool) -> None:
    why = misplaced(dictionary(model=model), "blocks.3.out", config, [label], any_model=False)
    assert (why is None) == fits, why


def test_codes_count_per_row() -> None:
    found = Codes(rows=torch.tensor([0, 0, 2]), features=torch.tensor([1, 2, 0]), values=torch.ones(3), n=4, latents=3)
    assert found.counts().tolist() == [2, 0, 1, 0]


def test_a_contrast_is_what_moved_more_under_the_first_variant_pair_by_pair() -> None:
    rng = np.random.default_rng(11)
    common = rng.normal(1.0, 0.2, size=(30, 3))  # both variants moved by this
    first, second = common.copy(), common.copy()
    first[:, 1] += rng.uniform(0.5, 1, size=30)
    second[:, 2] += rng.normal(0, 1, size=30)
    read = {}
    for variant, values in (("trigger", first), ("other", second)):
        read |= {f"{n}/{variant}": attrs.evolve(one, variant=variant) for n, one in tallies(values).items()}
    alone = attrs.evolve(next(iter(read.values())), unit="lonely")
    found = contrasted({**read, "lonely": alone}, "trigger", "other")
    assert found.units == tuple(f"{i:04d}" for i in range(30))  # a prompt read in one variant alone has no pair
    result = changes(found, alpha=0.05, active=0.005, seed=1)
    assert result.changed.tolist() == [0, 1, 0]
    assert result.difference == pytest.approx((first - second).mean(axis=0), rel=1e-5, abs=1e-8)
    assert result.trained - result.base == pytest.approx(first.mean(axis=0), rel=1e-5)
    assert (changes(table(read), alpha=0.05, active=0.005, seed=1).changed == 1).all()


def test_a_dictionary_of_differences_is_not_put_to_activations_and_one_of_this_base_by_its_digest_is() -> None:
    config = {"hidden_size": 12, "model_type": "llama"}
    learned = {"afterburn": {"on": "difference", "base": {"sha256": "a" * 64}}}
    why = misplaced(dictionary(facts=learned), "blocks.0.out", config, ["base"], any_model=True)
    assert why is not None and "differences" in why
    own = dictionary(model="gemma-2-2b", facts={"afterburn": {"on": "base", "base": {"sha256": "a" * 64}}})
    assert misplaced(own, "blocks.0.out", config, ["base"], any_model=False) is not None
    assert misplaced(own, "blocks.0.out", config, ["base"], any_model=False, digests=["a" * 64]) is None
