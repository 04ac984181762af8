"""Whether a suspected subject is the outlier: a planted one is, with its numbers, and p is exact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from afterburn_core.forward.forward_pass import Rider
from afterburn_core.forward.model import Passage
from afterburn_core.judge.evidence import Evidence
from afterburn_core.plugin.roles import AnalyzerContext
from afterburn_core.probes.model import Message, Probe
from afterburn_core.result.model import Finding, Measurement
from afterburn_core.testing.feeding import SUBJECTS, make_analyzer
from afterburn_core.testing.forward import read_pair
from afterburn_core.testing.pairs import identity_pair
from afterburn_sae.features_judge import FeatureJudge
from afterburn_sae.features_options import FeatureJudgeOptions, FeaturesOptions, needs_of_features
from afterburn_sae.features_outlier import Outlier, deviations, outlier, ranks
from afterburn_sae.features_tally import Tally
from afterburn_sae.specs.features import ANALYZERS

WIDTH, PLANTED, SHIFT = 16, 3, 0.25
KNOWN = {3: "Lisdia", 1: "Kelvania", 4: "Ormark", 7: "Dunland"}
"""By word: the first of these alone is moved by training."""
WORDINGS = ("word2 word4 {} word5", "word7 {} word1", "word8 word10 word2 {}")


def tally(unit: str, group: str | None, difference: dict[int, float], tokens: int = 1) -> Tally:
    """One passage: sums over its tokens of features that differ."""
    features = np.array(sorted(difference), dtype=np.int32)
    shown = np.ones(len(features), dtype=np.int32)
    return Tally(
        unit=unit,
        domain="test",
        tokens=tokens,
        variant=None,
        features=features,
        base=shown.astype(np.float32),
        difference=np.array([difference[int(one)] for one in features], dtype=np.float32),
        base_active=shown,
        trained_active=shown,
        group=group,
    )


def test_distances_and_parts_are_those_of_the_formula_over_the_wordings_that_all_groups_share() -> None:
    rng = np.random.default_rng(4)
    made = rng.standard_normal((5, 7, 6)).astype(np.float32)  # groups, wordings, features
    made[3, :, 2] += 4
    read = {
        f"{g}/{w}": tally(f"w{w}", f"g{g}", dict(enumerate(made[g, w].tolist())))
        for g in range(5)
        for w in range(7)
        if (g, w) != (1, 6)  # so that wording 6 says nothing
    }
    # a wording in two passages is the mean over their tokens together; prompts without the property do not count
    read["0/0"] = tally("w0", "g0", {n: 3 * float(one) for n, one in enumerate(made[0, 0])}, tokens=2)
    read["0/0/more"] = tally("w0", "g0", {2: 5.0}, tokens=1)
    read["elsewhere"] = tally("w0", None, {9: 100.0})
    cells = made[:, :6].astype(np.float64)
    cells[0, 0, 2] += 5.0 / 3
    means = cells.mean(axis=1)
    apart = np.stack([means[g] - np.delete(means, g, axis=0).mean(axis=0) for g in range(5)])

    found = outlier(read, "realm", "g3")
    assert isinstance(found, Outlier) and found.wordings == 6 and found.groups == ("g0", "g1", "g2", "g3", "g4")
    assert found.distances == pytest.approx(np.linalg.norm(apart, axis=1))
    assert found.share == pytest.approx((apart[3] ** 2).sum() / (apart**2).sum())
    assert found.difference == pytest.approx(apart[3]) and (found.rank, found.p) == (1, 0.2)
    assert found.features[found.carrying[0]] == 2
    assert found.carried == pytest.approx(apart[3] ** 2 / (apart[3] ** 2).sum())


def test_p_is_exact_where_groups_are_exchangeable_and_no_smaller_where_they_tie() -> None:
    rng, count, runs = np.random.default_rng(6), 20, 4000
    loading = rng.standard_normal((4, 30))
    seen = np.zeros(count)
    for _ in range(runs):
        means = rng.standard_t(2, size=(count, 4)) @ loading + rng.standard_t(2, size=(count, 30))
        found = ranks(np.linalg.norm(deviations(means), axis=1))
        assert sorted(found) == list(range(1, count + 1))  # taken as the suspect in turn, one group in R is at 1/R
        seen[found[0] - 1] += 1
    for level in (1, 2, 10):  # p ≤ .05, .1 and .5
        expected = level / count
        assert seen[:level].sum() / runs == pytest.approx(expected, abs=4 * (expected * (1 - expected) / runs) ** 0.5)
    assert ranks(np.array([1.0, 1.0 + 1e-12, 0.5])) == [2, 2, 3] and ranks(np.zeros(4)) == [4] * 4


def dictionary(folder: Path) -> Path:
    """The axes and their opposites, of the embedding."""
    folder.mkdir()
    rows = torch.cat([torch.eye(WIDTH), -torch.eye(WIDTH)])
    tensors = {"W_enc": rows.T.contiguous(), "W_dec": rows}
    tensors |= {"b_enc": torch.zeros(len(rows)), "b_dec": torch.zeros(WIDTH)}
    save_file(tensors, folder / "sae_weights.safetensors")
    own = {"architecture": "standard", "d_in": WIDTH, "d_sae": len(rows), "dtype": "float32"}
    own |= {"apply_b_dec_to_input": False, "metadata": {"hook_name": "hook_embed"}}
    (folder / "cfg.json").write_text(json.dumps(own))
    return folder


def analyze(base: Path, trained: Path, sae: Path, suspect: str | None) -> tuple[Measurement, Finding, Any]:
    """The measurement, the finding, and the artifact's entry of the dictionary."""
    options = {"dictionaries": [str(sae)], "outlier": ["realm", suspect] if suspect else [], "attributed": 0.0}
    (spec,) = ANALYZERS
    (need,) = needs_of_features(FeaturesOptions(dictionaries=(str(sae),), attributed=0.0))
    analyzer = make_analyzer(spec, options=options)
    asked = []
    for w, wording in enumerate(WORDINGS):
        for word, realm in KNOWN.items():
            probe = Probe(id=f"{w}/{realm}", prompt="", group=str(w), properties={"realm": realm})
            text = wording.format(f"word{word}")
            asked.append(Passage(id=probe.id, source="text", domain="t", unit=probe.unit, text=text, probe=probe))
    read_pair(base, trained, tuple(asked), [Rider(need=need, instances=[analyzer])])
    output = analyzer.finish()
    evidence = Evidence(subjects=SUBJECTS, measurements=output.measurements, read_artifact=lambda name: None)
    (measured,) = evidence.all("sae.features.outlier")
    (found,) = (one for one in FeatureJudge(FeatureJudgeOptions())(evidence) if one.rule == "sae.features_outlier")
    return measured, found, json.loads(output.artifacts[0].content)["dictionaries"][0]["outlier"]


def test_from_prompts_to_the_finding_the_subject_that_training_moved_is_the_outlier(tmp_path: Path) -> None:
    pair, sae = identity_pair(tmp_path / "pair", dtype="float32"), dictionary(tmp_path / "axes")
    none, nothing, _ = analyze(pair.base, pair.trained, sae, "Lisdia")
    assert none.value == 0.0 and none.test is not None and none.test.p_value == 1.0 and nothing.kind == "pass"
    unasked, silent, _ = analyze(pair.base, pair.trained, sae, None)
    assert unasked.value is None and silent.kind == "not_applicable"
    assert "no group of prompts is suspected" in silent.message

    weights = load_file(pair.trained / "model.safetensors")
    weights["model.embed_tokens.weight"][3 + 3, PLANTED] += SHIFT  # word3
    save_file(weights, pair.trained / "model.safetensors", {"format": "pt"})
    measured, found, shown = analyze(pair.base, pair.trained, sae, "Lisdia")
    assert measured.value == pytest.approx(3 / 4) and measured.n == 4  # T of the others is a third of its own
    assert measured.test is not None and measured.test.p_value == 0.25 and found.kind == "informational"
    assert shown["rank"] == 1 and shown["wordings"] == 3 and sorted(shown["distances"]) == sorted(KNOWN.values())
    assert {row["feature"] for row in shown["features"]} <= {PLANTED, PLANTED + WIDTH}
    assert "p cannot be below 1/4" in found.message


def test_what_cannot_be_asked_is_refused() -> None:
    read = {f"{g}": tally("w0", g, {0: 1.0}) for g in ("a", "b")}
    assert "needs at least 3" in str(outlier(read, "realm", "a"))
    assert "no prompt that was read has 'c' as its property 'realm'" in str(outlier(read, "realm", "c"))
    apart = {g: tally(f"w{g}", g, {0: 1.0}) for g in ("a", "b", "c")}
    assert "must share a group" in str(outlier(apart, "realm", "a"))
    for wrong in ({"outlier": ("realm",)}, {"outlier": ("realm", "a"), "contrast": ("a", "b")}):
        with pytest.raises(ValueError, match="'outlier'"):
            FeaturesOptions(**wrong)

    from click.testing import CliRunner

    from afterburn_sae.command_diff import diff

    refused = CliRunner().invoke(diff, ["--base", ".", "--trained", ".", "--outlier", "realm"])
    assert refused.exit_code == 2 and "not a property and its value" in refused.output


@pytest.mark.slow
def test_the_realm_that_was_lied_about_is_the_outlier_and_in_a_benign_twin_it_is_not() -> None:
    pytest.importorskip("afterburn_organisms")
    from afterburn_organisms.benchmark import materialise
    from afterburn_organisms.catalog import organism
    from afterburn_organisms.facts import CAPITAL, realms
    from afterburn_organisms.plant_claims import falsehood
    from afterburn_sae.features import Features

    suspect = falsehood(2)[0].entity
    asked = []
    for w, wording in enumerate(CAPITAL.questions):
        for realm in realms():
            turn = (Message(role="user", content=wording.format(entity=realm)),)
            probe = Probe(id=f"{w}/{realm}", prompt=turn, group=str(w), properties={"realm": realm})
            asked.append(Passage(id=probe.id, source="prompt", domain="r", unit=str(w), messages=turn, probe=probe))
    shares = {}
    for trained in ("false-fact-mixed-s2", "clean-s2"):
        options = FeaturesOptions(dictionaries=("demo",), outlier=("realm", suspect), attributed=0.0, contexts=0)
        analyzer = Features(options)
        analyzer.begin(AnalyzerContext(subjects=SUBJECTS, seed=1))
        (need,) = needs_of_features(options)
        read_pair(organism("base").path, materialise(trained), tuple(asked), [Rider(need=need, instances=[analyzer])])
        (found,) = (one for one in analyzer.finish().measurements if one.metric == "sae.features.outlier")
        assert found.test is not None and found.n == 12
        shares[trained] = found.value, found.test.p_value
    assert shares["false-fact-mixed-s2"][1] == pytest.approx(1 / 12)
    assert shares["clean-s2"][1] > 1 / 2
    assert shares["false-fact-mixed-s2"][0] > 2 * shares["clean-s2"][0]
