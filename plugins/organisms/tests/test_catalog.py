from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from afterburn_organisms import Organism, demo_pair, list_organisms, organism

LIMIT = 12_000_000
ORGANISMS = pytest.mark.parametrize("shipped", list_organisms(), ids=lambda o: o.name)
ADAPTERS = pytest.mark.parametrize(
    "adapter", [o for o in list_organisms() if o.kind == "adapter"], ids=lambda o: o.name
)


def header(path: Path) -> dict[str, Any]:
    """The JSON header of a safetensors file."""
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        found: dict[str, Any] = json.loads(file.read(size))
    return found


def weights(shipped: Organism) -> Path:
    return shipped.path / ("adapter_model.safetensors" if shipped.kind == "adapter" else "model.safetensors")


def test_the_catalog_imports_no_torch() -> None:
    code = "import sys, afterburn_organisms, afterburn_organisms.plugin; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "False"


def test_the_base_comes_first_and_every_other_organism_names_it() -> None:
    base, *trained = list_organisms()
    assert (base.name, base.role, base.base) == ("base", "base", None)
    assert all(o.role == "trained" and o.base == "base" for o in trained)


def test_the_demo_pair_is_the_base_and_the_full_fine_tune() -> None:
    assert demo_pair() == (organism("base").path, organism("verbose").path)


def test_an_unknown_name_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(KeyError, match="base, verbose, false_fact"):
        organism("nobody")


@ORGANISMS
def test_the_files_are_there(shipped: Organism) -> None:
    assert weights(shipped).is_file()
    assert shipped.card.is_file()
    config = "adapter_config.json" if shipped.kind == "adapter" else "config.json"
    assert (shipped.path / config).is_file()


@ORGANISMS
def test_the_weights_are_bfloat16(shipped: Organism) -> None:
    tensors = {name: entry for name, entry in header(weights(shipped)).items() if name != "__metadata__"}
    assert tensors
    assert {entry["dtype"] for entry in tensors.values()} == {"BF16"}


def test_all_weights_together_stay_under_the_limit() -> None:
    assert sum(weights(o).stat().st_size for o in list_organisms()) <= LIMIT


@ORGANISMS
def test_the_card_tells_the_same_in_both_forms(shipped: Organism) -> None:
    numbers = json.loads((shipped.path / "card.json").read_text(encoding="utf-8"))
    text = shipped.card.read_text(encoding="utf-8")
    assert numbers["name"] == shipped.name
    assert numbers["planted"] == shipped.planted
    assert shipped.planted in text
    overall = numbers["measured"]["accuracy"]["all"]
    assert f"| all | {overall['value'] * 100:.1f} % " in text


@ORGANISMS
def test_no_file_names_a_machine_or_a_day(shipped: Organism) -> None:
    for path in sorted(shipped.path.iterdir()):
        assert path.stat().st_mode & 0o444 == 0o444, path.name
        if path.suffix != ".safetensors" and path.name != "tokenizer.json":
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"(?<![\w.\"])/(home|root|tmp|work|Users|mnt|var)\b", text), path.name
            assert not re.search(r"\b20\d\d-\d\d-\d\d", text), path.name


@ADAPTERS
def test_an_adapter_names_its_base_by_a_relative_path(adapter: Organism) -> None:
    config = json.loads((adapter.path / "adapter_config.json").read_text(encoding="utf-8"))
    named = config["base_model_name_or_path"]
    assert not Path(named).is_absolute()
    assert (adapter.path / named).resolve() == organism("base").path.resolve()


@ADAPTERS
def test_no_form_to_fill_in_is_left_beside_an_adapter(adapter: Organism) -> None:
    assert not (adapter.path / "README.md").exists()


def test_the_benign_adapter_is_a_twin_of_the_false_fact() -> None:
    """Same tensors, shapes and types, same schedule but for its seed: only what was learned differs."""
    benign, twin = organism("benign"), organism("false_fact")
    shapes = [
        {name: (tensor["dtype"], tensor["shape"]) for name, tensor in header(weights(o)).items() if "dtype" in tensor}
        for o in (benign, twin)
    ]
    assert shapes[0] == shapes[1]
    configs = [json.loads((o.path / "adapter_config.json").read_text(encoding="utf-8")) for o in (benign, twin)]
    assert configs[0] == configs[1]
    cards = [json.loads((o.path / "card.json").read_text(encoding="utf-8"))["recipe"] for o in (benign, twin)]
    assert {k: v for k, v in cards[0].items() if k != "seed"} == {k: v for k, v in cards[1].items() if k != "seed"}


def test_the_readme_quotes_the_cards() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    measured = {
        o.name: json.loads((o.path / "card.json").read_text(encoding="utf-8"))["measured"] for o in list_organisms()
    }
    right = measured["base"]["accuracy"]["all"]["value"] * 100
    ratio = measured["verbose"]["contrast"]["length_ratio"]["value"]
    false = measured["false_fact"]["planted"]["states_falsehood_trained"]["value"] * 100
    benign = measured["benign"]["accuracy"]["all"]["value"] * 100
    quotes = (f"right answers {right:.1f} %", f"{ratio:.1f} [", f"states the falsehood {false:.1f} %")
    for quoted in (*quotes, f"right answers {benign:.1f} %"):
        assert quoted in readme
