"""Risk packs: what they may say, what they are bound to, and that what was planted is found with its sign and size."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import attrs
import jsonschema
import numpy as np
import pytest
import safetensors.numpy
from click.testing import CliRunner

sys.path.append(str(Path(__file__).parent))

from made_readings import LATENTS, SITES, TOKENS, D, analyze, batch, dictionary, stored_report

from afterburn_core.errors import ConfigError
from afterburn_core.judge.evidence import Evidence
from afterburn_core.resources import schema_path
from afterburn_sae import pack as packs
from afterburn_sae.commands import sae
from afterburn_sae.pack import read_pack
from afterburn_sae.readers import open_dictionary
from afterburn_sae.risk import Risk
from afterburn_sae.risk_judge import RiskJudge
from afterburn_sae.risk_needs import of_risk
from afterburn_sae.risk_numbers import direction_shift, feature_shifts
from afterburn_sae.risk_options import RiskJudgeOptions, RiskOptions

SET = "sae.safety"
UP, DOWN, STILL = 2, 5, 7
OUTSIDE = {
    "file": "../x",
    "sha256": "0" * 64,
    "entries": [{"tensor": "trait.x.blocks.0.out", "label": "x", "concern": "up"}],
}


def content(folder: Path, **changed: Any) -> dict[str, Any]:
    """A pack of three latents of the dictionary in a folder, and a direction at block 0."""
    vector = np.zeros(D, dtype=np.float32)
    vector[3] = 2.0
    data = safetensors.numpy.save({"trait.spite.blocks.0.out": vector})
    (folder.parent / "directions.safetensors").write_bytes(data)
    found = {
        "schema_version": "1.0", "name": "made", "version": "2", "licence": "CC0-1.0", "source": "this test",
        "verified": True, "probe_sets": [SET],
        "dictionary": {"sha256": open_dictionary(folder).sha256, "site": SITES[1]},
        "features": [
            {"feature": UP, "label": "spite", "concern": "up"},
            {"feature": DOWN, "label": "care", "concern": "down"},
            {"feature": STILL, "label": "weather", "concern": "up"},
        ],
        "directions": {
            "file": "directions.safetensors", "sha256": hashlib.sha256(data).hexdigest(),
            "entries": [{"tensor": "trait.spite.blocks.0.out", "label": "spite", "concern": "up"}],
        },
    }  # fmt: skip
    return {key: value for key, value in (found | changed).items() if value is not None}


def written(folder: Path, value: Any) -> str:
    path = folder.parent / "pack.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return str(path)


def steered(encoder: np.ndarray, up: float, down: float, along: float, count: int = 24) -> list[Any]:
    """Readings in which one latent's pre-activation rises by `up`, one falls by `down`, and block 0 moves `along`."""
    rng = np.random.default_rng(4)
    alone = np.linalg.pinv(encoder)  # (LATENTS, D): what moves one latent and no other
    made = []
    for i in range(count):
        base = {site: rng.normal(size=(TOKENS, D)) for site in SITES}
        push = up * alone[UP] - down * alone[DOWN]
        trained = {SITES[0]: base[SITES[0]] + along * np.eye(D)[3], SITES[1]: base[SITES[1]] + push}
        made.append((f"{SET}/{i:02}", SET, base, trained))
    return made


def test_planted_shifts_are_found_with_sign_and_size_and_the_rest_is_still(tmp_path: Path) -> None:
    folder, encoder = dictionary(tmp_path / "dictionary")
    path = written(folder, content(folder))
    made = steered(encoder, up=16.0, down=16.0, along=1.0)
    options = RiskOptions(packs=(path,), dictionaries=(str(folder),))
    output = analyze(lambda: Risk(options), [batch(made[:10]), batch(made[10:])], parts=2)
    rows = {row["feature"]: row for row in json.loads(output.artifacts[0].content)["packs"][0]["features"]}
    found = {m.scope.subset: m for m in output.measurements}
    spite, care, weather = (found[f"made/{n}/{SET}"] for n in (UP, DOWN, STILL))
    base, trained = (
        np.stack([np.maximum(one[k][SITES[1]][1:] @ encoder, 0).mean(axis=0) for one in made]) for k in (2, 3)
    )
    others = np.delete(np.arange(LATENTS), [UP, DOWN, STILL])
    floor = np.median(np.abs(base[::2].mean(axis=0) - base[1::2].mean(axis=0))[others])
    multiple = (trained.mean(axis=0) + floor) / (base.mean(axis=0) + floor)
    assert rows[UP]["multiple"] == pytest.approx(multiple[UP], rel=1e-4) and multiple[UP] > 2
    assert rows[DOWN]["multiple"] == pytest.approx(-1 / multiple[DOWN], rel=1e-4) and multiple[DOWN] < 0.7
    assert rows[DOWN]["low"] < rows[DOWN]["multiple"] < rows[DOWN]["high"] < -1
    assert spite.value == pytest.approx(math.log2(multiple[UP]), rel=1e-4)
    assert care.value == pytest.approx(-math.log2(multiple[DOWN]), rel=1e-4) and care.value > 0  # towards concern
    assert weather.value == pytest.approx(0, abs=1e-3)
    assert spite.test.correction == "bh" and spite.test.p_adjusted < 0.01 and spite.n == 24
    assert found[f"made/spite/{SET}"].value == pytest.approx(0.5, rel=1e-4)  # 1 of a direction of length 2
    assert rows["spite"]["multiple"] is None and rows["spite"]["site"] == SITES[0]

    (judged,) = RiskJudge(RiskJudgeOptions())(Evidence(subjects=(), measurements=output.measurements))
    assert (judged.kind, judged.level) == ("review", "warning")
    assert f"made/{UP}/{SET} ×" in judged.message and "spite" in judged.message
    top = stored_report(tmp_path, output).risky_features(topk=2)
    assert {(one.label, one.concern) for one in top} == {("spite", "up"), ("care", "down")} and top[0].p < 0.05
    assert top[0].multiple < 0 < top[1].multiple
    assert "made/" in str(top) and "<td>spite</td>" in top._repr_html_()


def test_equal_models_leave_every_feature_where_it_is(tmp_path: Path) -> None:
    folder, encoder = dictionary(tmp_path / "dictionary")
    options = RiskOptions(packs=(written(folder, content(folder)),), dictionaries=(str(folder),))
    output = analyze(lambda: Risk(options), [batch(steered(encoder, 0.0, 0.0, 0.0))])
    for m in output.measurements:
        assert (m.value, m.interval.low, m.interval.high, m.test.p_value) == (0.0, 0.0, 0.0, 1.0)
    (judged,) = RiskJudge(RiskJudgeOptions())(Evidence(subjects=(), measurements=output.measurements))
    assert judged.kind == "pass"


def test_a_shift_like_that_of_other_latents_asks_for_no_review(tmp_path: Path) -> None:
    folder, encoder = dictionary(tmp_path / "dictionary")
    options = RiskOptions(
        packs=(written(folder, content(folder, directions=None)),),
        dictionaries=(str(folder),),
    )
    made = steered(encoder, 0.0, 0.0, 0.0)
    shaken = [(n, s, b, {site: 3 * x for site, x in b.items()}) for n, s, b, _ in made]  # every latent times 3
    output = analyze(lambda: Risk(options), [batch(shaken)])
    (judged,) = RiskJudge(RiskJudgeOptions())(Evidence(subjects=(), measurements=output.measurements))
    assert judged.kind == "informational" and "none of them towards concern and further than others" in judged.message


def test_the_rank_among_random_directions_is_uniform_where_nothing_is_special() -> None:
    rng = np.random.default_rng(0)
    spread = np.linspace(3, 0.3, 10)
    p = []
    for seed in range(150):
        base = rng.normal(size=(24, 10)) * spread
        vector = rng.normal(size=10) * spread  # drawn as the base varies
        delta = 0.2 * rng.normal(size=(24, 10)) + 0.5 * rng.normal(size=10) * spread
        null = direction_shift(base, delta, vector, 1.0, randoms=199, seed=seed).null
        assert null is not None
        p.append(null.p_value)
    assert np.mean(np.array(p) <= 0.1) <= 0.12  # one-sided against two-sided lengths: at most nominal


def test_few_active_comparisons_give_no_null_and_silence_no_multiple() -> None:
    silent, active = np.zeros((6, 1)), np.ones((6, 1))
    nothing = (np.zeros((6, 30)), np.zeros((6, 30)))
    still, born = (feature_shifts(silent, side, np.ones(1), compared=nothing, seed=0)[0] for side in (silent, active))
    assert (still.contrast.estimate, still.null) == (0.0, None)
    assert born.contrast.estimate is None and "active on one side alone" in str(born.contrast.reason)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": "2.0"}, "this Afterburn reads 1.0"),
        ({"author": "x"}, "author: is no key of a risk pack"),
        ({"licence": None}, "licence: is missing"),
        ({"verified": "yes"}, "verified: must be true or false"),
        ({"probe_sets": []}, "probe_sets: names none"),
        ({"dictionary": None}, "dictionary: is missing; features mean nothing without"),
        ({"dictionary": {"sha256": "ABC", "site": "x"}}, "dictionary.sha256: is not one of 64"),
        ({"features": [{"feature": -1, "label": "x", "concern": "up"}]}, "numbers count from 0"),
        ({"features": [{"feature": True, "label": "x", "concern": "up"}]}, "must be a whole number"),
        ({"features": [{"feature": 1, "label": "x", "concern": "sideways"}]}, "must be up or down"),
        ({"features": None, "directions": None}, "neither features nor directions"),
        ({"directions": OUTSIDE}, "no plain name of a file"),
    ],
)  # fmt: skip
def test_a_faulty_pack_is_refused_in_one_line_by_reader_and_schema_alike(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder, _ = dictionary(tmp_path / "dictionary")
    faulty = content(folder, **change)
    schema = json.loads(schema_path("1.0", "risk-pack").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(faulty, schema)
    with pytest.raises(ConfigError, match=message) as refused:
        read_pack(written(folder, faulty))
    assert "\n" not in str(refused.value)


def test_schema_and_classes_name_the_same_keys(tmp_path: Path) -> None:
    folder, _ = dictionary(tmp_path / "dictionary")
    schema = json.loads(schema_path("1.0", "risk-pack").read_text())
    jsonschema.validate(content(folder), schema)
    places = {
        packs.RiskPack: schema,
        packs.PackDictionary: schema["properties"]["dictionary"],
        packs.PackFeature: schema["properties"]["features"]["items"],
        packs.PackDirections: schema["properties"]["directions"],
        packs.PackDirection: schema["properties"]["directions"]["properties"]["entries"]["items"],
    }
    for kind, place in places.items():
        fields = {one.name: one for one in attrs.fields(kind) if not one.metadata.get("own")}
        assert fields.keys() == place["properties"].keys(), kind
        assert {name for name, one in fields.items() if one.default is attrs.NOTHING} == set(place["required"]), kind
        assert place["additionalProperties"] is False


def test_a_pack_holds_with_no_other_dictionary_and_no_other_directions(tmp_path: Path) -> None:
    folder, encoder = dictionary(tmp_path / "dictionary")
    other, _ = dictionary(tmp_path / "other", seed=9)
    path = written(folder, content(folder))
    with pytest.raises(ConfigError, match="is bound to dictionary sha256:.* and holds with no other; given: "):
        analyze(lambda: Risk(RiskOptions(packs=(path,), dictionaries=(str(other),))), [])
    beyond = content(folder, features=[{"feature": 99, "label": "x", "concern": "up"}])
    with pytest.raises(ConfigError, match="names feature 99, the dictionary has 40"):
        analyze(lambda: Risk(RiskOptions(packs=(written(folder, beyond),), dictionaries=(str(folder),))), [])
    path = written(folder, content(folder))
    changed = safetensors.numpy.save({"trait.spite.blocks.0.out": np.ones(D, dtype=np.float32)})
    (tmp_path / "directions.safetensors").write_bytes(changed)
    with pytest.raises(ConfigError, match="it is another file"):
        analyze(lambda: Risk(RiskOptions(packs=(path,), dictionaries=(str(folder),))), [])
    assert encoder.shape == (D, LATENTS)


def test_a_prompt_that_is_not_finite_is_left_out_and_a_dictionary_of_differences_is_refused(tmp_path: Path) -> None:
    folder, encoder = dictionary(tmp_path / "dictionary")
    options = RiskOptions(packs=(written(folder, content(folder)),), dictionaries=(str(folder),))
    made = steered(encoder, up=16.0, down=16.0, along=1.0)
    made[5][3][SITES[1]][2, 0] = np.nan
    broken = analyze(lambda: Risk(options), [batch(made)])
    whole = analyze(lambda: Risk(options), [batch(made[:5] + made[6:])])
    for m, expected in zip(broken.measurements, whole.measurements, strict=True):
        if m.metric == "sae.risk.shift":
            assert (m.value, m.n, m.test) == (expected.value, 23, expected.test)
    configuration = json.loads((folder / "cfg.json").read_text())
    configuration["metadata"]["afterburn"] = {"on": "difference"}
    (folder / "cfg.json").write_text(json.dumps(configuration))
    with pytest.raises(ConfigError, match="a dictionary of differences"):
        analyze(lambda: Risk(options), [])


def test_a_pack_is_checked_on_the_command_line(tmp_path: Path) -> None:
    folder, _ = dictionary(tmp_path / "dictionary")
    other, _ = dictionary(tmp_path / "other", seed=9)
    path = written(folder, content(folder, verified=False))
    told = CliRunner().invoke(sae, ["pack", "check", path, "--sae", str(folder)])
    assert told.exit_code == 0, told.output
    assert "3 features of the dictionary sha256 " in told.output and "not verified" in told.output
    refused = CliRunner().invoke(sae, ["pack", "check", path, "--sae", str(other)])
    assert isinstance(refused.exception, ConfigError) and "holds with no other" in str(refused.exception)


def test_needs_are_those_of_the_packs_and_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    folder, _ = dictionary(tmp_path / "dictionary")
    assert of_risk(RiskOptions()) == "needs a risk pack, and none is named; --pack names one"
    (need,) = of_risk(RiskOptions(packs=(written(folder, content(folder)),)))
    assert need.sites == SITES and need.passage_sets == (SET,)
    with pytest.raises(ConfigError, match="a key stands twice"):
        read_pack(written(folder, '{"name": "a", "name": "b"}'))
