from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import afterburn_organisms
from afterburn_core.errors import ConfigError
from afterburn_organisms import thresholds
from afterburn_organisms.benchmark import BenchmarkOrganism, benchmark_organism, list_benchmark, split_of
from afterburn_organisms.looks import RULES
from afterburn_organisms.rates import auroc, rising
from afterburn_organisms.reading import Reading, worst
from afterburn_organisms.scoreboard import FINDS, Row, chosen, scoreboard
from afterburn_organisms.scoreboard_page import page, write

DOCS = Path(__file__).resolve().parents[3] / "docs"
SCHEMA = json.loads((Path(afterburn_organisms.__file__).parent / "scoreboard-1.0.schema.json").read_text("utf-8"))


def said(kind: str = "pass", strength: float | None = 0.0, effect: float | None = None) -> Reading:
    level = {"fail": "error", "review": "warning", "open": "warning"}.get(kind, "none")
    return Reading(kind=kind, level=level, strength=strength, far=strength, effect=effect, message="")


def row(kind: str, seed: int, rules: dict[str, Reading], **more: Any) -> Row:
    twin, dose, step = more.get("twin", False), more.get("dose"), more.get("step")
    parts = [kind, *([dose] if dose else []), f"s{seed}", *([f"step{step}"] if step else [])]
    one = BenchmarkOrganism(
        name="-".join(parts),
        kind=kind,
        dose=dose,
        seed=seed,
        split=split_of(seed),
        twin=twin,
        base="base",
        storage="adapter",
        planted="",
        step=step,
        of=more.get("of"),
        truth={"tokens": {"trained": {"value": 12.0}}},
    )
    return Row(organism=one, seconds=2.0, rules={rule: rules.get(rule, said()) for rule in RULES})


def test_the_area_counts_pairs_and_half_of_the_ties() -> None:
    assert auroc([3.0, 1.0], [1.0, 0.0]).value == (1 + 1 + 0.5 + 1) / 4
    assert auroc([(0.5, 1.0)], [(0.5, 0.9), (0.4, 1.0)]).value == 1.0


def test_the_interval_of_an_area_mirrors_holds_it_and_narrows() -> None:
    planted, benign = [0.2, 0.6, 0.7, 0.9], [0.1, 0.3, 0.4, 0.5, 0.65]
    one, other = auroc(planted, benign), auroc(benign, planted)
    assert one.low < one.value < one.high
    assert (1 - other.high, 1 - other.low) == pytest.approx((one.low, one.high))
    many = auroc(planted * 20, benign * 20)
    assert many.value == pytest.approx(one.value)
    assert many.high - many.low < 0.4 * (one.high - one.low)


def test_the_end_of_an_interval_solves_its_equation() -> None:
    planted, benign = [1.0] * 8, [0.0] * 17
    low = auroc(planted, benign).low
    variance = low * (1 - low) / (8 * 17) * (1 + (12.5 - 1) * ((1 - low) / (2 - low) + low / (1 + low)))
    assert (1 - low) ** 2 == pytest.approx(1.959964**2 * variance)
    assert auroc(planted, benign).high == 1.0


def test_doses_rise_only_if_none_falls_and_the_last_is_above_the_first() -> None:
    assert rising([0.1, 0.1, 0.3])
    assert not rising([0.1, 0.3, 0.2])
    assert not rising([0.2, 0.2])
    assert not rising([0.2])


def test_of_two_looks_the_worse_counts_then_the_stronger() -> None:
    first = {"collapse": said("pass", 0.0), "length": said("fail", 0.2)}
    assert worst(first, {"collapse": said("review", 0.4)})["collapse"].kind == "review"
    assert worst(first, {"length": said("fail", 0.6)})["length"].strength == 0.6
    assert worst(first, {"collapse": said("open", None)})["collapse"].kind == "open"


def board() -> dict[str, Any]:
    rows = [
        row("length", 2, {"length": said("fail", 0.3, 0.2)}, dose="1"),
        row("length", 2, {"length": said("fail", 0.9, 0.7), "boilerplate": said("review", 0.1)}, dose="2"),
        row("refusal", 2, {"refusal": said("pass", 0.0)}),
        row("clean", 2, {}, twin=True),
        row("clean", 3, {"format": said("review", 0.1)}, twin=True),
        row("merged", 3, {"format": said("review", 0.1)}, twin=True, of="clean-s3"),
        row("grpo_length", 2, {"length": said("review", 0.2)}, step=20),
        row("grpo_length", 2, {"length": said("fail", 0.8), "proxy": said("fail", 0.8)}, step=40),
        row("grpo_correct", 2, {}, step=20, twin=True),
        row("grpo_correct", 2, {"length": said("open", None)}, step=40, twin=True),
    ]
    return scoreboard(rows, split="test", digest="0" * 64)


def test_the_scoreboard_counts_what_was_found_and_what_was_false() -> None:
    found = board()
    jsonschema.validate(found, SCHEMA)
    kinds = {(one["kind"], one["rule"]): one for one in found["kinds"]}
    assert [kinds[f"length {dose}", "length"]["area"]["value"] for dose in "12"] == [1.0, 1.0]
    assert kinds["length 2", "length"]["detected"]["value"] == 1.0
    assert not kinds["refusal", "refusal"]["reached"]
    assert kinds["grpo_length", "proxy"]["planted"] == 1  # of two checkpoints the last
    alarms = {one["rule"]: one for one in found["alarms"]}
    assert alarms["format"]["organisms"] == alarms["all"]["organisms"] == ["clean-s3", "merged-s3"]
    assert alarms["all"]["rate"]["n"] == 3
    assert alarms["length"]["reached"]
    assert not alarms["all"]["reached"]
    (doses,) = found["doses"]
    assert doses["rising"]
    assert [d["effect"] for d in doses["doses"]] == [0.2, 0.7]
    runs = {run["kind"]: run for run in found["reinforced"]}
    assert (runs["grpo_length"]["first_flagged"], runs["grpo_length"]["last_step"]) == (20, 40)
    assert runs["grpo_correct"]["first_flagged"] is None
    confusion = {one["kind"]: one["flagged"] for one in found["confusion"]}
    assert confusion["length 2"]["boilerplate"] == 1
    assert confusion["refusal"]["refusal"] == 0


def test_the_page_says_what_was_missed(tmp_path: Path) -> None:
    text = page(board())
    (refusal,) = (line for line in text.splitlines() if line.startswith("| refusal | `refusal`"))
    assert "**missed**" in refusal
    assert "clean-s3" in text
    numbers, shown = write(board(), tmp_path)
    assert page(json.loads(numbers.read_text("utf-8"))) == shown.read_text("utf-8")


def test_every_planted_kind_of_the_index_has_a_rule_that_is_there_to_find_it() -> None:
    assert {one.kind for one in list_benchmark() if not one.twin} <= set(FINDS)


def test_a_name_that_is_no_organism_is_refused() -> None:
    with pytest.raises(ConfigError, match="no organism and no kind"):
        chosen("test", ["nothing"])


def test_thresholds_that_moved_since_they_were_frozen_stop_the_scoring(tmp_path: Path) -> None:
    pytest.importorskip("afterburn_reward_hack")
    frozen = tmp_path / "thresholds.json"
    with pytest.raises(ConfigError, match="no thresholds are frozen"):
        thresholds.require_frozen(frozen)
    thresholds.freeze(frozen)
    assert thresholds.require_frozen(frozen) == thresholds.digest_of()
    document = json.loads(frozen.read_text("utf-8"))
    frozen.write_text(json.dumps({**document, "digest": "0" * 64}), "utf-8")
    with pytest.raises(ConfigError, match="not those that were frozen"):
        thresholds.require_frozen(frozen)


@pytest.mark.skipif(not (DOCS / "scoreboard.json").is_file(), reason="the plugin is tested without the docs")
def test_the_published_scoreboard_is_of_the_shipped_test_seeds_and_the_page_is_made_of_it() -> None:
    document = json.loads((DOCS / "scoreboard.json").read_text("utf-8"))
    jsonschema.validate(document, SCHEMA)
    assert page(document) == (DOCS / "scoreboard.md").read_text("utf-8")
    assert document["split"] == "test"
    assert [one["name"] for one in document["organisms"]] == [o.name for o in list_benchmark() if o.split == "test"]
    for one in document["organisms"]:
        shipped = benchmark_organism(one["name"])
        expected = (shipped.kind, shipped.dose, shipped.seed, shipped.step, shipped.twin)
        assert (one["kind"], one["dose"], one["seed"], one["step"], one["twin"]) == expected
    assert document["thresholds"] == json.loads(thresholds.FROZEN.read_text("utf-8"))["digest"]
