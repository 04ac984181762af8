"""Which features changed: a planted direction is found with its numbers and nothing else; what does not fit says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from afterburn_core.forward.forward_pass import Rider
from afterburn_core.judge.evidence import Evidence
from afterburn_core.plugin.roles import AnalyzerOutput
from afterburn_core.stats.effects import cohens_dz
from afterburn_core.stats.resampling import sign_flip_p
from afterburn_core.testing.feeding import SUBJECTS, make_analyzer
from afterburn_core.testing.forward import passages_of, read_pair
from afterburn_core.testing.pairs import identity_pair
from afterburn_sae.features_judge import FeatureJudge
from afterburn_sae.features_options import FeatureJudgeOptions, FeaturesOptions, needs_of_features
from afterburn_sae.specs.features import ANALYZERS

WIDTH, PLANTED, SHIFT = 16, 3, 0.04
TEXTS = [" ".join(f"word{(5 * n + k * k + n * k) % 44}" for k in range(6 + n % 5)) for n in range(24)]


def dictionary(folder: Path, rows: torch.Tensor, *, hook: str = "hook_embed", **settings: Any) -> Path:
    """Directions (n, d) as encoder, and as decoder; in SAELens's layout."""
    folder.mkdir(parents=True)
    tensors = {
        "W_enc": rows.T.contiguous(),
        "b_enc": torch.zeros(len(rows)),
        "W_dec": rows.contiguous(),
        "b_dec": torch.zeros(rows.shape[1]),
    }
    save_file(tensors, folder / "sae_weights.safetensors")
    configuration = {
        "architecture": "standard",
        "d_in": rows.shape[1],
        "d_sae": len(rows),
        "dtype": "float32",
        "apply_b_dec_to_input": False,
        "metadata": {"hook_name": hook, **settings},
    }
    (folder / "cfg.json").write_text(json.dumps(configuration))
    return folder


def axes() -> torch.Tensor:
    """The axes and their opposites: they rebuild any activation exactly, and see no change of another axis."""
    return torch.cat([torch.eye(WIDTH), -torch.eye(WIDTH)])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Models of which the trained one adds SHIFT along one axis to the embedding of every third token."""
    made = identity_pair(tmp_path_factory.mktemp("pair"), dtype="float32")
    weights = load_file(made.trained / "model.safetensors")
    weights["model.embed_tokens.weight"][::3, PLANTED] += SHIFT
    save_file(weights, made.trained / "model.safetensors", {"format": "pt"})
    return made.base, made.trained


def analyze(
    base: Path, trained: Path, options: Mapping[str, Any], texts: Sequence[str] = TEXTS
) -> tuple[AnalyzerOutput, dict[str, Any]]:
    """What the analyzer finds over the texts, and its artifact."""
    (spec,) = ANALYZERS
    (need,) = needs_of_features(FeaturesOptions(**options))
    analyzer = make_analyzer(spec, options={key: _plain(value) for key, value in options.items()})
    read_pair(base, trained, passages_of(texts), [Rider(need=need, instances=[analyzer])])
    output = analyzer.finish()
    return output, json.loads(output.artifacts[0].content)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def tokens_of(base: Path, text: str) -> list[int]:
    from transformers import AutoTokenizer

    ids = AutoTokenizer.from_pretrained(base)(text)["input_ids"]
    return list(ids)


def test_a_planted_direction_is_found_with_its_numbers_and_nothing_else(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    base, trained = pair
    sae = dictionary(tmp_path / "axes", axes())
    output, found = analyze(base, trained, {"dictionaries": (str(sae),), "attributed": 1.0})

    (about,) = found["dictionaries"]
    assert about["valid"] and about["changed"] == {"up": 1, "down": 1} and about["prompts"] == len(TEXTS)
    assert about["fvu"]["base"]["value"] == pytest.approx(0.0, abs=1e-12)
    assert about["l0"]["base"]["value"] == pytest.approx(WIDTH)
    rows = {row["feature"]: row for row in found["features"]}
    assert {n: row["changed"] for n, row in rows.items()} == {PLANTED: "up", PLANTED + WIDTH: "down"}

    # the same from the embeddings, in float64
    axis = {
        side: load_file(path / "model.safetensors")["model.embed_tokens.weight"][:, PLANTED].double().numpy()
        for side, path in (("base", base), ("trained", trained))
    }
    ids = [tokens_of(base, text) for text in TEXTS]
    skipped = 1  # the token at position 0 does not count
    for feature, sign in ((PLANTED, 1), (PLANTED + WIDTH, -1)):
        by_side = {
            side: np.array([np.maximum(sign * values[own[skipped:]], 0).mean() for own in ids])
            for side, values in axis.items()
        }
        differences, row = by_side["trained"] - by_side["base"], rows[feature]
        assert row["base"]["mean"] == pytest.approx(by_side["base"].mean(), rel=1e-6)
        assert row["difference"] == pytest.approx(differences.mean(), rel=1e-5)
        assert row["d_z"] == pytest.approx(cohens_dz(differences), rel=1e-5)
        assert row["low"] < row["difference"] < row["high"]
        assert row["p"] == pytest.approx(sign_flip_p(differences[:, None], seed=0)[0], abs=2e-4)
        active = np.mean([(sign * axis["trained"][own[skipped:]] > 0).mean() for own in ids])
        assert row["trained"]["frequency"] == pytest.approx(active)
        floor, means = about["noise"], {side: values.mean() for side, values in by_side.items()}
        ratio = (means["trained"] + floor) / (means["base"] + floor)
        assert row["multiple"] == pytest.approx(ratio if sign > 0 else -1 / ratio, rel=1e-5)
        assert row["attribution"] is not None and row["attribution_rank"] in (1, 2)
    # tokens: the head's column through the final norm, whose weights are 1 here
    head = load_file(trained / "model.safetensors")["lm_head.weight"][:, PLANTED]
    best = int(head.argmax())
    assert rows[PLANTED]["tokens"]["promoted"][0].strip() == f"word{best - 3}" or best < 3
    peak = max(rows[PLANTED]["contexts"], key=lambda one: one["pieces"][one["peak"]][1])
    assert peak["pieces"][peak["peak"]][1] == pytest.approx(
        max(axis["trained"][own[skipped:]].max() for own in ids), abs=1e-4
    )

    findings = {one.rule: one for one in judged(output, found)}
    assert findings["sae.valid"].kind == "pass"
    assert findings["sae.features_changed"].kind == "informational"
    assert f"feature {PLANTED} up" in findings["sae.features_changed"].message


def judged(output: AnalyzerOutput, found: Mapping[str, Any]) -> list[Any]:
    """The findings, but for the rule about a suspected group, which does not apply where none is suspected."""
    evidence = Evidence(
        subjects=SUBJECTS,
        measurements=output.measurements,
        read_artifact=lambda name: found if name == "sae.features" else None,
    )
    return [one for one in FeatureJudge(FeatureJudgeOptions())(evidence) if one.kind != "not_applicable"]


def test_equal_models_have_no_changed_feature(pair: tuple[Path, Path], tmp_path: Path) -> None:
    sae = dictionary(tmp_path / "axes", axes(), hook="blocks.1.hook_resid_post")
    output, found = analyze(pair[0], pair[0], {"dictionaries": (str(sae),)})
    assert found["features"] == [] and found["dictionaries"][0]["changed"] == {"up": 0, "down": 0}
    assert found["dictionaries"][0]["valid"]
    assert [one.kind for one in judged(output, found)] == ["pass", "pass"]


def test_texts_whose_activations_are_not_finite_are_left_out_and_said(pair: tuple[Path, Path], tmp_path: Path) -> None:
    base, trained = pair
    weights = load_file(trained / "model.safetensors")
    weights["model.embed_tokens.weight"][tokens_of(base, TEXTS[0])[2]] = torch.inf
    overflown = tmp_path / "overflown"
    shutil.copytree(trained, overflown)
    save_file(weights, overflown / "model.safetensors", {"format": "pt"})
    broken = {text for text in TEXTS if tokens_of(base, TEXTS[0])[2] in tokens_of(base, text)[1:]}
    options = {"dictionaries": (str(dictionary(tmp_path / "axes", axes())),)}
    _, whole = analyze(base, trained, options, [text for text in TEXTS if text not in broken])
    _, found = analyze(base, overflown, options)
    assert 0 < len(broken) < 12
    assert f"{len(broken)} passages have activations that are not finite" in found["dictionaries"][0].pop("why")
    assert whole["dictionaries"][0].pop("why") is None
    assert {key: found["dictionaries"][0][key] for key in ("valid", "changed", "prompts", "tokens")} == {
        key: whole["dictionaries"][0][key] for key in ("valid", "changed", "prompts", "tokens")
    }
    for row, expected in zip(found["features"], whole["features"], strict=True):
        assert (row["feature"], row["difference"], row["d_z"]) == (
            expected["feature"], pytest.approx(expected["difference"]), pytest.approx(expected["d_z"]),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("width", "settings", "told"),
    [
        (WIDTH, {}, "unexplained"),
        (WIDTH // 2, {}, "width 8"),
        (WIDTH, {"model_name": "gemma-2-2b"}, "trained on gemma-2-2b"),
    ],
    ids=["explains nothing", "another width", "another model"],
)
def test_a_dictionary_that_does_not_fit_is_not_valid_here(
    pair: tuple[Path, Path], tmp_path: Path, width: int, settings: dict[str, Any], told: str
) -> None:
    rows = torch.eye(width)[:2] if not settings else torch.cat([torch.eye(width), -torch.eye(width)])
    sae = dictionary(tmp_path / "sae", rows, **settings)
    output, found = analyze(*pair, {"dictionaries": (str(sae),)})
    assert found["features"] == [] and not found["dictionaries"][0]["valid"]
    assert told in found["dictionaries"][0]["why"]
    findings = judged(output, found)
    assert {one.kind for one in findings} == {"open"} and all("not valid here" in one.message for one in findings)
    if settings:
        _, allowed = analyze(*pair, {"dictionaries": (str(sae),), "any_model": True})
        assert allowed["dictionaries"][0]["valid"] and allowed["features"]


def test_some_features_alone_have_the_numbers_they_have_among_all(pair: tuple[Path, Path], tmp_path: Path) -> None:
    sae = dictionary(tmp_path / "axes", axes())
    _, every = analyze(*pair, {"dictionaries": (str(sae),)})
    output, some = analyze(*pair, {"dictionaries": (str(sae),), "features": (PLANTED, 5)})
    (row,) = some["features"]
    (same,) = (one for one in every["features"] if one["feature"] == PLANTED)
    for name in ("difference", "d_z", "p", "low", "high", "base", "trained"):
        assert row[name] == same[name]
    assert some["dictionaries"][0]["fvu"]["base"]["value"] is None
    assert {one.rule: one.kind for one in judged(output, some)} == {
        "sae.valid": "open",
        "sae.features_changed": "review",
    }


def test_the_whole_way_from_python_and_what_the_command_line_refuses(pair: tuple[Path, Path], tmp_path: Path) -> None:
    from click.testing import CliRunner

    from afterburn_sae import compare_models, load_sae
    from afterburn_sae.command_diff import diff

    sae, texts, labels = dictionary(tmp_path / "axes", axes()), tmp_path / "texts.txt", tmp_path / "labels.jsonl"
    texts.write_text("\n\n".join(TEXTS))
    labels.write_text(json.dumps({"feature": PLANTED, "text": "every third word", "explainer": "someone"}) + "\n")
    report = compare_models(
        *pair,
        sae=sae,
        labels=labels,
        corpus=texts,
        run_dir=tmp_path / "run",
        cache_dir=tmp_path / "cache",
        use_cache=False,
    )
    assert load_sae(sae).latents == 2 * WIDTH
    (changed,) = report.measurements("sae.features.changed")
    assert changed.value == 2
    (found,) = (one for one in report.findings if one.rule == "sae.features_changed")
    assert '"every third word", auto-generated' in found.message
    stored = (tmp_path / "run" / "result.json").read_text()
    assert str(tmp_path) not in stored  # dictionaries and labels are places on this machine
    content = json.loads((tmp_path / "run" / "artifacts" / "sae.features.json").read_text())
    assert content["features"][0]["label"]["auto_generated"] is True

    base, trained = (str(path) for path in pair)
    for flags, told in (
        ([], "no dictionary is named"),
        (["--sae", str(sae), "--features", "1,x"], "not a list of feature numbers"),
    ):
        refused = CliRunner().invoke(diff, ["--base", base, "--trained", trained, *flags])
        assert refused.exit_code == 2 and told in refused.output
