"""The forward pass over real, tiny models: what analyzers get, however the work is arranged and divided."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from afterburn_core.errors import SubjectError
from afterburn_core.forward.forward_pass import Rider
from afterburn_core.forward.model import ForwardBatch, LogitChunk, Passage
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput
from afterburn_core.probes.model import Message
from afterburn_core.run.needs import ForwardNeed
from afterburn_core.testing.forward import forward_items, passages_of, read_pair
from afterburn_core.testing.observing import Collector
from afterburn_core.testing.pairs import Pair, adapter_pair, identity_pair, planted_pair

EVERYTHING = ForwardNeed(
    sources=("text", "prompt", "answer"),
    logits="vocabulary",
    sites=("embed", "blocks.*.in", "blocks.*.attn.out", "blocks.*.mlp.out", "blocks.*.out", "final_norm"),
)
WORDS = [" ".join(f"word{(7 * i + k * k) % 45}" for k in range(2 + i % 9)) for i in range(24)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pairs")


@pytest.fixture(scope="module")
def planted(folder: Path) -> Pair:
    """Noise in one matrix of the second block."""
    return planted_pair(folder / "planted", noise=0.5)


@pytest.fixture(scope="module")
def adapted(folder: Path) -> Pair:
    return adapter_pair(folder / "adapted", alpha=64.0)


def batches(items: Iterable[Any]) -> list[ForwardBatch]:
    return [item for item in items if isinstance(item, ForwardBatch)]


def chunks(items: Iterable[Any]) -> list[LogitChunk]:
    return [item for item in items if isinstance(item, LogitChunk)]


def network(path: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()


def by_token(items: Iterable[Any], name: str) -> dict[tuple[str, int], float]:
    """A score of every scored row, by passage and position."""
    found = {}
    for batch in batches(items):
        if batch.scores is None:
            continue
        for row, value in zip(batch.scored.tolist(), getattr(batch.scores, name).tolist(), strict=True):
            passage = batch.rows.passages[int(batch.rows.passage[row])].id
            found[passage, int(batch.rows.position[row])] = float(value)
    return found


def test_scores_are_those_of_two_plain_forwards_in_float64(planted: Pair) -> None:
    items = forward_items(planted.base, planted.trained, WORDS, EVERYTHING)
    base, trained = network(planted.base).double(), network(planted.trained).double()
    kl, nll = by_token(items, "kl"), by_token(items, "trained_nll")
    assert kl
    assert kl.keys() == nll.keys()
    seen = 0
    for batch in batches(items):
        for number, passage in enumerate(batch.rows.passages):
            own = batch.rows.passage == number
            ids = batch.rows.token[own]
            positions = batch.rows.position[own].tolist()
            lead = positions[0]
            full = torch.cat([torch.full((lead,), 1), ids])[None]  # id 1 is the beginning mark
            with torch.inference_mode():
                b, f = base(full).logits[0].log_softmax(-1), trained(full).logits[0].log_softmax(-1)
            exact = (f.exp() * (f - b)).sum(-1)
            for position in positions[:-1]:
                assert kl[passage.id, position] == pytest.approx(float(exact[position]), rel=1e-3, abs=1e-9)
                expected = -float(f[position, full[0, position + 1]])
                assert nll[passage.id, position] == pytest.approx(expected, rel=1e-4)
                seen += 1
    assert seen == len(kl)


def test_a_model_read_beside_itself_has_no_divergence_and_no_difference_at_all(folder: Path) -> None:
    pair = identity_pair(folder / "identity")
    for batch in batches(forward_items(pair.base, pair.trained, WORDS, EVERYTHING)):
        assert batch.scores is not None
        assert torch.count_nonzero(batch.scores.kl) == 0
        assert torch.count_nonzero(batch.scores.jsd) == 0
        for site in batch.base.sites:
            assert torch.count_nonzero(batch.geometry(site).delta) == 0
            assert torch.count_nonzero(batch.geometry(site).cosine_distance) == 0


def test_chunks_hold_normalised_log_probabilities_of_every_scored_row(planted: Pair) -> None:
    items = forward_items(planted.base, planted.trained, WORDS, EVERYTHING)
    for chunk in chunks(items):
        for side in (chunk.base, chunk.trained):
            torch.testing.assert_close(side.exp().sum(-1), torch.ones(len(side)), rtol=0, atol=1e-5)
        assert torch.equal(chunk.difference(), chunk.trained - chunk.base)
        assert chunk.difference() is chunk.difference()
    assert sum(len(c.index) for c in chunks(items)) == sum(len(b.scored) for b in batches(items))


def test_activations_are_those_of_the_models(planted: Pair) -> None:
    """`hidden_states` holds the embedding and what leaves each block but the last; behind the last comes the norm."""
    (text,) = WORDS[8:9]
    (batch,) = batches(forward_items(planted.base, planted.trained, [text], EVERYTHING))
    ids = batch.rows.token[None]
    lead = int(batch.rows.position[0])
    full = torch.cat([torch.full((1, lead), 1), ids], dim=1)
    with torch.inference_mode():
        hidden = network(planted.trained)(full, output_hidden_states=True).hidden_states
    sites = batch.trained.sites
    torch.testing.assert_close(sites["embed"], hidden[0][0, lead:])
    torch.testing.assert_close(sites["blocks.0.out"], hidden[1][0, lead:])
    torch.testing.assert_close(sites["blocks.1.in"], hidden[1][0, lead:])
    torch.testing.assert_close(sites["final_norm"], hidden[-1][0, lead:])
    added = sites["blocks.1.in"] + sites["blocks.1.attn.out"] + sites["blocks.1.mlp.out"]
    torch.testing.assert_close(added, sites["blocks.1.out"])


def test_a_change_in_the_second_block_shows_there_and_not_before(planted: Pair) -> None:
    for batch in batches(forward_items(planted.base, planted.trained, WORDS, EVERYTHING)):
        for site in ("embed", "blocks.0.out", "blocks.1.in"):
            assert torch.count_nonzero(batch.geometry(site).delta) == 0
        assert float(batch.geometry("blocks.1.out").delta_norm.max()) > 0


def test_an_adapter_and_its_merged_model_are_read_alike(adapted: Pair, folder: Path) -> None:
    from peft import PeftModel

    merged = folder / "merged"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # what one library's next release will say to the other
        model = PeftModel.from_pretrained(network(adapted.base), str(adapted.trained)).merge_and_unload()
    model.save_pretrained(merged)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (merged / name).write_bytes((adapted.base / name).read_bytes())
    one = by_token(forward_items(adapted.base, adapted.trained, WORDS, EVERYTHING), "kl")
    other = by_token(forward_items(adapted.base, merged, WORDS, EVERYTHING), "kl")
    assert one.keys() == other.keys()
    assert max(one.values()) > 1e-4
    for key, value in one.items():
        assert other[key] == pytest.approx(value, rel=2e-3, abs=1e-8)


@attrs.define
class Sums:
    """An analyzer that reduces: what a shard and a merge must give alike."""

    kl: dict[str, float] = attrs.field(factory=dict)
    drift: dict[str, float] = attrs.field(factory=dict)
    tokens: int = 0

    def begin(self, context: AnalyzerContext) -> None:
        pass

    def observe(self, item: Any) -> None:
        if not isinstance(item, ForwardBatch) or item.scores is None:
            return
        self.tokens += item.rows.n
        where = item.rows.passage[item.scored]
        for number, passage in enumerate(item.rows.passages):
            self.kl[passage.id] = math.fsum(item.scores.kl[where == number].tolist())
            own = item.rows.passage == number
            self.drift[passage.id] = math.fsum(item.geometry("blocks.1.out").delta_norm[own].tolist())

    def merge(self, other: Sums) -> None:
        self.kl |= other.kl
        self.drift |= other.drift
        self.tokens += other.tokens

    def finish(self) -> AnalyzerOutput:
        return AnalyzerOutput()


def summed(pair: Pair, devices: tuple[str, ...], **how: Any) -> Sums:
    instances = [Sums() for _ in devices]
    need = ForwardNeed(logits="scores", sites=("blocks.*.out",))
    read_pair(
        pair.base, pair.trained, passages_of(WORDS), [Rider(need=need, instances=instances)], devices=devices, **how
    )
    for other in instances[1:]:
        instances[0].merge(other)
    return instances[0]


@pytest.mark.parametrize("which", ["planted", "adapted"])
def test_shards_on_several_devices_give_the_numbers_of_one(which: str, request: pytest.FixtureRequest) -> None:
    pair = request.getfixturevalue(which)
    one = summed(pair, ("cpu",), batch_tokens=40)
    three = summed(pair, ("cpu", "cpu", "cpu"), batch_tokens=40)
    assert three.tokens == one.tokens
    for name in ("kl", "drift"):
        left, right = getattr(one, name), getattr(three, name)
        assert left.keys() == right.keys()
        for key in left:
            assert right[key] == pytest.approx(left[key], rel=1e-12, abs=1e-15)


def test_the_size_of_batches_changes_rounding_alone(planted: Pair) -> None:
    small, large = summed(planted, ("cpu",), batch_tokens=12), summed(planted, ("cpu",), batch_tokens=4096)
    assert small.tokens == large.tokens
    for key, value in large.kl.items():
        assert small.kl[key] == pytest.approx(value, rel=1e-3, abs=1e-8)


def test_batches_hold_one_source_and_reach_only_who_asked_for_it(planted: Pair) -> None:
    passages = [
        *passages_of(WORDS[:6]),
        *(
            Passage(
                id=f"q{i}/trained/0",
                source="answer",
                domain="q",
                unit=f"q{i}",
                messages=(Message(role="user", content="word3 word4"),),
                text=WORDS[i],
                ended=True,
                author="trained",
            )
            for i in range(4)
        ),
    ]
    texts, answers = Collector(), Collector()
    riders = [
        Rider(need=ForwardNeed(sources=("text",), logits="scores"), instances=[texts]),
        Rider(need=ForwardNeed(sources=("answer",), sites=("embed",)), instances=[answers]),
    ]
    read = read_pair(planted.base, planted.trained, passages, riders)
    assert {p.source for b in batches(texts.items) for p in b.rows.passages} == {"text"}
    assert {p.source for b in batches(answers.items) for p in b.rows.passages} == {"answer"}
    assert all(b.scores is not None for b in batches(texts.items))
    assert all(b.scores is None for b in batches(answers.items))
    assert not chunks(texts.items)
    assert read.counters["passages"] == 10
    assert read.counters["tokens"] == sum(b.rows.n for b in batches([*texts.items, *answers.items]))
    assert len(read.texts) == 6


def test_the_last_row_of_a_prompt_is_scored_and_that_of_a_text_is_not(planted: Pair) -> None:
    prompt = Passage(
        id="p", source="prompt", domain="q", unit="p", messages=(Message(role="user", content="word3 word4 word5"),)
    )
    need = ForwardNeed(sources=("text", "prompt"), logits="scores")
    for batch in batches(forward_items(planted.base, planted.trained, [prompt, *passages_of(WORDS[:1])], need)):
        last = batch.rows.n - 1
        assert (last in batch.scored.tolist()) == (batch.rows.passages[0].source == "prompt")
        assert int(batch.rows.target[last]) == -1
        assert batch.scores is not None
        if batch.rows.passages[0].source == "prompt":
            assert math.isnan(float(batch.scores.base_nll[-1]))
            assert not torch.isnan(batch.scores.kl).any()


def test_nothing_to_read_is_said_in_one_line(planted: Pair) -> None:
    with pytest.raises(SubjectError, match="no passage can be read"):
        forward_items(planted.base, planted.trained, ["word1"], ForwardNeed(logits="scores"))
