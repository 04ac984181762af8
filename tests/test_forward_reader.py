"""Pairs read side by side, on one model or in turn give the same numbers, and those of plain forward passes."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from afterburn_core.backends.transformers_reader import TransformersReader, open_reader
from afterburn_core.errors import SubjectError
from afterburn_core.forward.encoded import Packed
from afterburn_core.forward.packing import pack
from afterburn_core.forward.reading import Wanted
from afterburn_core.forward.rows import grid
from afterburn_core.generation.model import Serving
from afterburn_core.run.progress import Silent
from afterburn_core.testing.guards import watched_globals
from tests.forward_models import (
    CAUSAL,
    adapter,
    batches,
    close_all,
    network,
    opened,
    opened_reader,
    saved,
    texts,
    tuned,
)

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # in peft

SITES = ("embed", "blocks.*.in", "blocks.*.attn.out", "blocks.*.mlp.out", "blocks.*.out", "final_norm")
EVERYTHING = Wanted(logits=True, sites=SITES)
Read = dict[str, tuple[torch.Tensor, dict[str, torch.Tensor]]]
"""Log-probabilities of all rows and activations, by subject."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def base(folder: Path) -> Path:
    return saved(network("llama"), folder / "base")


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    return saved(tuned(network("llama")), folder / "trained")


@pytest.fixture(scope="module")
def lora(base: Path, folder: Path) -> Path:
    return adapter(base, folder / "lora")


def reader_of(base: Path, trained: Path, wanted: Wanted = EVERYTHING, **settings: Any) -> TransformersReader:
    return opened_reader(base, trained, wanted, **settings)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Whatever a test opens is closed after it."""
    yield
    close_all()


def read(
    base: Path, trained: Path, wanted: Wanted = EVERYTHING, packed: tuple[Packed, ...] | None = None, **forced: Any
) -> Read:
    """Everything that a reader says of the batches, by passage so that batches of other shapes compare."""
    packed = batches() if packed is None else packed
    reader = reader_of(base, trained, wanted, **forced)
    reader.prepare(packed, wanted, Silent())
    found: dict[str, list[tuple[str, torch.Tensor, dict[str, torch.Tensor]]]] = {}
    with watched_globals() as changes:
        for batch in packed:
            readings = reader.read(batch)
            assert tuple(readings) == reader.subjects or set(readings) == set(reader.subjects)
            start = 0
            for one in batch.encoded:
                rows = torch.arange(start, start + one.length - one.leading)
                start += len(rows)
                for name, reading in readings.items():
                    logs = reading.log_probs(rows) if wanted.logits else torch.zeros(len(rows), 1)
                    sites = {site: states[rows] for site, states in reading.sites.items()}
                    found.setdefault(name, []).append((one.passage.id, logs.clone(), sites))
    assert not changes
    reader.close()
    joined: Read = {}
    for name, parts in found.items():
        parts.sort(key=lambda part: part[0])
        sites = {site: torch.cat([part[2][site] for part in parts]) for site in parts[0][2]}
        joined[name] = torch.cat([part[1] for part in parts]), sites
    return joined


def assert_equal(first: Read, second: Read, *, rtol: float = 1e-6, atol: float = 1e-6) -> None:
    assert first.keys() == second.keys()
    for name, (logs, sites) in first.items():
        torch.testing.assert_close(second[name][0], logs, rtol=rtol, atol=atol)
        assert second[name][1].keys() == sites.keys()
        for site, states in sites.items():
            torch.testing.assert_close(second[name][1][site], states, rtol=rtol, atol=atol, msg=f"{name} {site}")


@pytest.mark.parametrize("family", CAUSAL)
def test_every_family_reads_what_plain_forward_passes_read(family: str, tmp_path: Path) -> None:
    """Without padding, one text at a time, in float64 for the log-probabilities; right padding changes nothing."""
    model, other = network(family), tuned(network(family))
    paths = saved(model, tmp_path / "base"), saved(other, tmp_path / "trained")
    found = read(*paths)
    for name, plain in (("base", model), ("trained", other)):
        with torch.no_grad():
            outs = [plain(input_ids=torch.tensor([one.ids]), output_hidden_states=True) for one in texts()]
        logs = torch.cat([torch.log_softmax(out.logits[0, 1:].double(), -1) for out in outs])
        torch.testing.assert_close(found[name][0].double(), logs, rtol=1e-5, atol=1e-5)
        for site, number in (("blocks.0.in", 0), ("blocks.1.out", 2), ("final_norm", 3)):
            states = torch.cat([out.hidden_states[number][0, 1:] for out in outs])
            torch.testing.assert_close(found[name][1][site], states, rtol=1e-5, atol=1e-5)


def test_all_arrangements_of_two_models_give_the_same_numbers(base: Path, trained: Path) -> None:
    together = read(base, trained)
    assert_equal(together, read(base, trained, arrangement="in_turn"))
    assert (together["base"][0] - together["trained"][0]).abs().max() > 0.1


@pytest.mark.parametrize("kind", ["lora", "dora", "saved", "head", "whole head", "embedding"])
def test_all_arrangements_of_an_adapter_give_the_same_numbers(kind: str, base: Path, tmp_path: Path) -> None:
    settings: dict[str, dict[str, Any]] = {
        "lora": {},
        "dora": {"use_dora": True},
        "saved": {"modules_to_save": ["norm"]},
        "whole head": {"modules_to_save": ["lm_head"]},
        "head": {"target_modules": ["lm_head", "o_proj"]},
        "embedding": {"target_modules": ["embed_tokens", "o_proj"]},
    }
    path = adapter(base, tmp_path / "adapter", **settings[kind])
    assert reader_of(base, path).arrangement == "adapter"
    toggled = read(base, path)
    assert_equal(toggled, read(base, path, arrangement="side_by_side"))
    assert_equal(toggled, read(base, path, arrangement="in_turn"))
    assert (toggled["base"][0] - toggled["trained"][0]).abs().max() > 0.01


@pytest.mark.parametrize(
    ("kind", "settings"), [("biases", {"bias": "all"}), ("rows", {"grow": 8, "modules_to_save": ["embed_tokens"]})]
)
def test_an_adapter_that_does_not_give_back_its_base_is_read_beside_it(
    kind: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    base = saved(network("qwen2", tie_word_embeddings=False), tmp_path / "base")
    path = adapter(base, tmp_path / "adapter", **settings)
    reader = reader_of(base, path)
    assert reader.arrangement == "side_by_side"
    with pytest.raises(SubjectError, match="no adapter that can be switched off"):
        reader_of(base, path, arrangement="adapter")
    found = read(base, path)
    plain = network("qwen2", tie_word_embeddings=False)
    with torch.no_grad():
        outs = [plain(input_ids=torch.tensor([one.ids])).logits[0, 1:] for one in texts()]
    torch.testing.assert_close(found["base"][0], torch.log_softmax(torch.cat(outs), -1), rtol=1e-5, atol=1e-5)


def test_equal_models_give_equal_bits(base: Path, folder: Path) -> None:
    twin = saved(network("llama"), folder / "twin")
    empty = adapter(base, folder / "empty", lora_alpha=0)
    for path in (twin, empty):
        for arrangement in (None, "in_turn"):
            found = read(base, path, arrangement=arrangement)
            assert torch.equal(found["base"][0], found["trained"][0])
            for site, states in found["base"][1].items():
                assert torch.equal(states, found["trained"][1][site])


def test_a_text_reads_the_same_alone_and_in_company(base: Path, lora: Path) -> None:
    assert_equal(read(base, lora, packed=batches(budget=1)), read(base, lora, packed=batches(budget=400)), atol=1e-5)


def test_rows_are_those_of_the_grid_and_hold_no_padding(base: Path, trained: Path) -> None:
    packed = batches(budget=400)
    reader = reader_of(base, trained)
    reader.prepare(packed, EVERYTHING, Silent())
    for batch in packed:
        ids, mask, index = grid(batch, "cpu")
        reading = reader.read(batch)["base"]
        table = network("llama").get_input_embeddings().weight.data
        assert torch.equal(reading.sites["embed"], table[ids.flatten()[index]])
        assert len(reading.sites["embed"]) == batch.counted < int(mask.sum())  # less the beginning marks
    reader.close()


def test_sketches_stay_within_their_bound(base: Path, trained: Path) -> None:
    packed = batches()
    exact = reader_of(base, trained)
    sketched = reader_of(base, trained, arrangement="in_turn", sketch=True)
    for reader in (exact, sketched):
        reader.prepare(packed, EVERYTHING, Silent())
    assert sketched.properties["sketch"] == 1024 and exact.properties["sketch"] is None
    assert "1024 most probable" in sketched.notes[-1]
    off = 0.0
    for batch in packed:
        rows = torch.arange(batch.counted)
        true, near = (reader.read(batch) for reader in (exact, sketched))
        assert near["base"].approximate and not true["base"].approximate and not near["trained"].approximate
        base_logs, other = true["base"].log_probs(rows).double(), true["trained"].log_probs(rows)
        sketch = near["base"].log_probs(rows).double()
        assert true["base"].bound(rows, other) is None
        bound = near["base"].bound(rows, other)
        assert bound is not None
        kl, approximate = ((other.double().exp() * (other.double() - b)).sum(-1) for b in (base_logs, sketch))
        assert ((approximate - kl).abs() <= bound + 1e-6).all()
        off = max(off, float(((approximate - kl).abs() / bound).max()))
        torch.testing.assert_close(sketch.exp().sum(-1), torch.ones(len(rows)).double(), rtol=1e-5, atol=0.0)
        top = base_logs.topk(1024).indices
        torch.testing.assert_close(sketch.gather(-1, top), base_logs.gather(-1, top), rtol=1e-6, atol=1e-5)
        assert torch.equal(sketch.argmax(-1), base_logs.argmax(-1))
    assert off > 1e-3  # a bound that says something
    exact.close()
    sketched.close()


def test_the_whole_model_gives_what_its_separate_head_gives(base: Path, lora: Path) -> None:
    """Where a head cannot be run on states alone, the model is run again; the base then leaves a sketch in turn."""
    packed = batches()
    apart = reader_of(base, lora)
    whole = reader_of(base, lora)
    for reader in (apart, whole):
        reader.prepare(packed, EVERYTHING, Silent())
    assert whole.properties["head"] == "on final states"
    whole._residents["trained"].head = None
    assert whole.properties["head"] == "whole model"
    for batch in packed:
        rows = torch.arange(batch.counted)[torch.randperm(batch.counted, generator=torch.Generator().manual_seed(0))]
        one, other = apart.read(batch), whole.read(batch)
        for name in ("base", "trained"):
            torch.testing.assert_close(other[name].log_probs(rows), one[name].log_probs(rows), rtol=1e-5, atol=1e-5)
    apart.close()
    whole.close()


def test_added_tokens_are_left_out_and_probabilities_add_up_to_one(base: Path, tmp_path: Path) -> None:
    model = network("llama")
    with torch.random.fork_rng():
        model.resize_token_embeddings(1420, mean_resizing=False)
    more = saved(tuned(model), tmp_path / "more")
    for arrangement in ("side_by_side", "in_turn"):
        reader = reader_of(base, more, arrangement=arrangement)
        assert reader.vocabulary == 1414
        assert any("6 token ids more" in note for note in reader.notes)
        found = read(base, more, arrangement=arrangement)
        with torch.no_grad():
            logits = torch.cat([model(input_ids=torch.tensor([one.ids])).logits[0, 1:] for one in texts()])
        exact = torch.log_softmax(logits[:, :1414].double(), -1)
        torch.testing.assert_close(found["trained"][0].double(), exact, rtol=1e-5, atol=1e-5)
        assert found["base"][0].shape == exact.shape


def test_tokenizers_must_agree_where_both_have_a_token(base: Path, tmp_path: Path) -> None:
    other = saved(network("llama"), tmp_path / "other")
    file = other / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    words = content["model"]["vocab"]
    first, second = (next(word for word, index in words.items() if index == wanted) for wanted in (700, 701))
    words[first], words[second] = words[second], words[first]
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(SubjectError, match=r"do not read the same tokens: 2 ids differ \(700 is"):
        reader_of(base, other)


def test_renamed_special_tokens_are_equal_tokens_and_ids_beyond_the_weights_are_refused(
    base: Path, tmp_path: Path
) -> None:
    other = saved(network("llama"), tmp_path / "other")
    file = other / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    special = content["added_tokens"][-1]
    words = content["model"]["vocab"]
    if special["content"] in words:
        words["<|renamed|>"] = words.pop(special["content"])
    special["content"] = "<|renamed|>"
    file.write_text(json.dumps(content), encoding="utf-8")
    reader = reader_of(base, other)
    assert reader.tokenizer.convert_ids_to_tokens(special["id"]) == "<|renamed|>"
    [one] = texts(lengths=(4,))
    beyond = pack([attrs.evolve(one, ids=(*one.ids[:-1], 1414))], budget=64)
    with pytest.raises(SubjectError, match="has token id 1414, and the models have weights for 1414"):
        reader.prepare(beyond, EVERYTHING, Silent())


def test_models_of_other_shape_have_no_activations_to_compare_but_logits(base: Path, tmp_path: Path) -> None:
    deeper = saved(network("llama", num_hidden_layers=4), tmp_path / "deeper")
    with pytest.raises(SubjectError, match="3 blocks of width 32 and .* 4 of width 32: activations cannot be compared"):
        reader_of(base, deeper)
    found = read(base, deeper, Wanted(logits=True, sites=()))
    assert found["base"][0].shape == found["trained"][0].shape


def test_a_site_that_the_network_lacks_is_refused_by_name(base: Path, trained: Path) -> None:
    wanted = Wanted(logits=False, sites=("blocks.*.middle",))
    reader = reader_of(base, trained, wanted)
    with pytest.raises(SubjectError, match=r"no site 'blocks\.\*\.middle'"):
        reader.prepare(batches(), wanted, Silent())
    with pytest.raises(SubjectError, match="not prepared or closed"):
        reader.read(batches()[0])


def test_only_the_wanted_sites_are_handed_out(base: Path, trained: Path) -> None:
    wanted = Wanted(logits=False, sites=("blocks.1.mlp.out",))
    for arrangement in ("side_by_side", "in_turn"):
        found = read(base, trained, wanted, arrangement=arrangement)
        assert {tuple(sites) for _, sites in found.values()} == {("blocks.1.mlp.out",)}


class Stopping:
    """Interrupts, as Ctrl-C does, after some tokens."""

    def __init__(self, after: int) -> None:
        self.left = after

    def begin(self, stage: str, total: int, unit: str) -> None:
        pass

    def advance(self, count: int) -> None:
        self.left -= count
        if self.left <= 0:
            raise KeyboardInterrupt

    def end(self) -> None:
        pass


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Path]]:
    """Files below the folders that may hold what is spilled."""
    monkeypatch.setenv("AFTERBURN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return lambda: [path for path in tmp_path.rglob("*") if path.is_file()]


def test_nothing_that_was_spilled_is_left_behind(base: Path, trained: Path, disk: Callable[[], list[Path]]) -> None:
    reader = reader_of(base, trained, arrangement="in_turn")
    packed = batches()
    reader.prepare(packed, EVERYTHING, Silent())
    assert disk() == []  # the file has no name: a killed run leaves nothing either
    with pytest.raises(SubjectError, match="not among those that were prepared"):
        reader.read(batches(lengths=(4,) * 30, budget=8)[-1])
    reader.close()
    reader.close()
    interrupted = reader_of(base, trained, arrangement="in_turn")
    with pytest.raises(KeyboardInterrupt):
        interrupted.prepare(packed, EVERYTHING, Stopping(after=30))
    assert disk() == []
    assert not interrupted._residents


def test_too_small_a_disk_is_said_before_anything_is_read(
    base: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    reader = reader_of(base, trained, arrangement="in_turn")
    with pytest.raises(SubjectError, match="do not fit into memory together, and keeping what the base reads takes"):
        reader.prepare(batches(), EVERYTHING, Silent())


def test_in_turn_only_the_head_of_the_base_stays_in_memory(base: Path, trained: Path) -> None:
    reader = reader_of(base, trained, arrangement="in_turn")
    made: list[Any] = []
    load = type(reader._pairing.base).load

    def watched(member: Any, serving: Serving) -> Any:
        model = load(member, serving)
        made.append((weakref.ref(model.model.layers[0]), weakref.ref(model.lm_head)))
        return model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(reader._pairing.base), "load", watched)
        reader.prepare(batches(), EVERYTHING, Silent())
    gc.collect()
    (block, head), (other, _) = made
    assert block() is None and head() is not None and other() is not None
    reader.close()
    gc.collect()
    assert head() is None and other() is None


def test_memory_decides_whether_two_models_are_read_together(
    base: Path, trained: Path, lora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reader_of(base, trained).arrangement == "side_by_side"
    monkeypatch.setattr("afterburn_core.backends.transformers_cost.available_memory", lambda: 1 << 30)
    assert reader_of(base, trained).arrangement == "in_turn"
    assert reader_of(base, lora).arrangement == "adapter"


def test_the_run_decides_on_the_dtype(base: Path, trained: Path) -> None:
    narrow = read(base, trained, serving=Serving(dtype="bfloat16"))
    wide = read(base, trained)
    assert reader_of(base, trained, serving=Serving(dtype="bfloat16")).properties["dtype"] == "bfloat16"
    logs, sites = narrow["base"]
    assert logs.dtype == torch.float32 and sites["blocks.1.out"].dtype == torch.float32
    assert torch.equal(sites["blocks.1.out"], sites["blocks.1.out"].bfloat16().float())
    torch.testing.assert_close(logs, wide["base"][0], rtol=0.1, atol=0.3)
    torch.testing.assert_close(logs.exp().sum(-1), torch.ones(len(logs)), rtol=1e-4, atol=0.0)


def test_a_chat_template_decides_on_the_mode(base: Path, trained: Path, tmp_path: Path) -> None:
    first, second = opened(base, trained)
    ask = {"serving": Serving(), "wanted": EVERYTHING, "seed": 0}
    assert open_reader(first, second, template="auto", **ask).mode == "chat"
    bare = saved(network("llama"), tmp_path / "bare")
    (bare / "chat_template.jinja").unlink()
    first, second = opened(base, bare)
    assert open_reader(first, second, template="auto", **ask).mode == "plain"
    with pytest.raises(SubjectError, match="has no chat template"):
        open_reader(first, second, template="chat", **ask)
