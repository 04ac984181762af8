"""The activation difference lens: planted directions are found and named, and nothing is named where nothing is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: E402

from afterburn_activation.lens import Lens  # noqa: E402
from afterburn_activation.lens_judge import LensJudge  # noqa: E402
from afterburn_activation.lens_means import ALL, FIRST, MeanDifference, MeanDifferences, place_names  # noqa: E402
from afterburn_activation.lens_measures import MeanDifferenceAnalyzer, _relative  # noqa: E402
from afterburn_activation.lens_options import LensJudgeOptions, LensOptions, MeanOptions  # noqa: E402
from afterburn_activation.lens_patch import PROMPTS, Patched, usable_prompts  # noqa: E402
from afterburn_activation.lens_readout import chance, random_directions, read_out  # noqa: E402
from afterburn_activation.lens_steer import cost, repeats, shares_of  # noqa: E402
from afterburn_activation.specs.lens import NEED  # noqa: E402
from afterburn_core.backends.transformers_live import TransformersLive  # noqa: E402
from afterburn_core.forward.forward_pass import Rider  # noqa: E402
from afterburn_core.forward.live import Written  # noqa: E402
from afterburn_core.generation.model import Serving  # noqa: E402
from afterburn_core.judge.evidence import Evidence  # noqa: E402
from afterburn_core.plugin.registry import Registry  # noqa: E402
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput  # noqa: E402
from afterburn_core.result.model import Finding, Measurement  # noqa: E402
from afterburn_core.run.references import parse_reference  # noqa: E402
from afterburn_core.run.subjects import open_subject  # noqa: E402
from afterburn_core.testing.forward import forward_items, passages_of, read_pair  # noqa: E402

LAYERS, WIDTH, PLANTED = 4, 64, 2
NAMED = "harbour"
WORDS = ("the", "river", "runs", "past", "old", "mill", "a", "lamp", "burns", "at", NAMED, "kite", "moss", "north")
EVERY = (0.0, 1 / 3, 2 / 3, 1.0)
QUICK: dict[str, Any] = {
    "depths": EVERY,
    "directions": 99,
    "patch_scales": (1.0, 4.0),
    "patch_directions": 4,
    "strengths": (0.25, 1.0),
    "steer_directions": 2,
    "steer_tokens": 6,
    "causal_directions": 19,
    "causal_passages": 6,
}


def vocabulary() -> dict[str, int]:
    splitter = pre_tokenizers.Whitespace()
    prompted = [word for text in PROMPTS for word, _ in splitter.pre_tokenize_str(text)]
    words = dict.fromkeys(["<s>", "</s>", "<unk>", *WORDS, *prompted, *(f"w{i}" for i in range(300))])
    return {word: i for i, word in enumerate(words)}


def write_model(directory: Path, change: Any = None) -> Path:
    """A tiny random Llama with biases in its MLPs; `change(network)` makes the trained one of it."""
    words = vocabulary()
    raw = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.save_pretrained(directory)
    config = transformers.LlamaConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        intermediate_size=96,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=128,
        mlp_bias=True,
        initializer_range=0.15,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        network = transformers.LlamaForCausalLM(config)
        if change is not None:
            with torch.no_grad():
                change(network)
    network.save_pretrained(directory)
    return directory


def texts(count: int = 80) -> list[str]:
    rng = np.random.default_rng(3)
    return [" ".join(rng.choice([f"w{i}" for i in range(40)], size=rng.integers(7, 16))) for _ in range(count)]


def bias_along_a_word(network: Any) -> None:
    row = network.lm_head.weight[vocabulary()[NAMED]]
    network.model.layers[PLANTED].mlp.down_proj.bias.add_(6.0 * row / row.norm())


def noise_everywhere(network: Any) -> None:
    generator = torch.Generator().manual_seed(5)
    for layer in network.model.layers:
        layer.mlp.down_proj.weight.add_(0.03 * torch.randn(layer.mlp.down_proj.weight.shape, generator=generator))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("lens") / "base")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("lens") / "planted", bias_along_a_word)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("lens") / "noisy", noise_everywhere)


@pytest.fixture(scope="module")
def noisy_items(base: Path, noisy: Path) -> list[Any]:
    return forward_items(base, noisy, texts(), NEED, batch_tokens=120)


@contextmanager
def live_pair(
    base: Path, trained: Path, given: Sequence[str], analyzers: Sequence[Any] = ()
) -> Iterator[TransformersLive]:
    """The pair in memory after it has read the texts, which analyzers observe."""
    riders = [Rider(need=NEED, instances=[one]) for one in analyzers]
    kept = read_pair(base, trained, passages_of(given), riders).texts
    registry = Registry.discover(only=())
    left = open_subject(parse_reference(str(base)), "base", registry)
    right: Any = open_subject(parse_reference(str(trained)), "trained", registry, base=left)
    live = right.live(left, serving=Serving(), template="auto", seed=0, passages=kept[:24])
    try:
        yield live
    finally:
        live.close()
        right.close()
        left.close()


def begun(analyzer: Any, *, excerpts: bool = True) -> Any:
    analyzer.begin(AnalyzerContext(subjects=(), seed=4, excerpts=excerpts))
    return analyzer


def read(base: Path, trained: Path, *, excerpts: bool = True, **options: Any) -> tuple[AnalyzerOutput, AnalyzerOutput]:
    """What both analyzers find."""
    means = begun(MeanDifferenceAnalyzer(MeanOptions(depths=EVERY)))
    lens = begun(Lens(LensOptions(**QUICK | options)), excerpts=excerpts)
    with live_pair(base, trained, texts(), (means, lens)) as live:
        lens.observe(live)
    return means.finish(), lens.finish()


def judged(*outputs: AnalyzerOutput) -> Finding:
    artifacts = {one.id: json.loads(one.content) for out in outputs for one in out.artifacts if one.suffix == ".json"}
    evidence = Evidence(
        subjects=(),
        measurements=tuple(one for out in outputs for one in out.measurements),
        read_artifact=artifacts.get,
    )
    (finding,) = LensJudge(LensJudgeOptions())(evidence)
    return finding


def get(output: AnalyzerOutput, metric: str, site: str, place: str) -> Measurement:
    (found,) = [
        one
        for one in output.measurements
        if one.metric == f"activation.{metric}" and one.scope.site == site and one.scope.subset == place
    ]
    return found


def content(output: AnalyzerOutput) -> dict[str, Any]:
    (artifact,) = [one for one in output.artifacts if one.id == "activation.lens"]
    return dict(json.loads(artifact.content))


def test_a_planted_direction_is_found_at_its_block_and_reads_as_its_token(base: Path, planted: Path) -> None:
    means, lens = read(base, planted)
    for layer in range(LAYERS):
        norm = get(means, "mean_difference.relative_norm", f"blocks.{layer}.out", FIRST)
        assert norm.value is not None and norm.interval is not None
        if layer < PLANTED:
            assert norm.value == 0 and (norm.interval.low, norm.interval.high) == (0, 0)
        else:
            assert norm.interval.low > 0.01
    site = f"blocks.{PLANTED}.out"
    assert get(means, "mean_difference.split_half", site, ALL).value == pytest.approx(1, abs=1e-6)
    assert get(means, "mean_difference.energy_share", site, ALL).value == pytest.approx(1, abs=1e-6)
    readouts = {(one["site"], one["place"], one["sign"]): one for one in content(lens)["readouts"]}
    for place in place_names(5):
        first = readouts[site, place, "added"]["tokens"][0]
        assert first["text"].strip() == NAMED and first["above_chance"]
        peak = get(lens, "lens.peak", site, f"{place}, added")
        assert peak.null is not None and peak.null.p_value == pytest.approx(1 / 100)
    assert not [one for one in readouts if one[0] == "blocks.0.out"]  # below the plant there is nothing to read
    finding = judged(means, lens)
    assert finding.kind == "informational" and f"'{NAMED}'" in finding.message


def test_the_planted_direction_moves_what_is_written_and_the_loss(base: Path, planted: Path) -> None:
    _, lens = read(base, planted, depth=2 / 3)
    found = content(lens)
    assert found["steering"]["site"] == found["causal"]["site"] == f"blocks.{PLANTED}.out"
    assert len(found["causal"]["controls"]) == 19
    (effect,) = [one for one in lens.measurements if one.metric == "activation.lens.causal_effect"]
    assert effect.value is not None and effect.null is not None
    # taking the constant out takes the model back to its base, which random directions do not
    assert abs(effect.value) > max(map(abs, found["causal"]["controls"]))
    strengths = [float(a) for a in found["steering"]["nll"]]
    assert strengths == [0.0, 0.25, 1.0]
    assert found["patchscope"]["places"][FIRST]["curve"][0]["scale"] == 1.0


def test_equal_models_leave_nothing_to_read(base: Path, tmp_path: Path) -> None:
    means, lens = read(base, write_model(tmp_path / "copy"))
    for one in means.measurements:
        if one.metric.endswith("relative_norm"):
            assert one.value == 0 and one.test is not None and one.test.p_value == 1
            assert one.interval is not None and (one.interval.low, one.interval.high) == (0, 0)
        else:
            assert one.value is None
    assert {one.status for one in lens.measurements} == {"undefined"}
    assert judged(means, lens).kind == "pass"


def test_noise_in_the_weights_is_no_readable_difference(base: Path, noisy: Path) -> None:
    finding = judged(*read(base, noisy))
    assert finding.kind == "pass"


def test_without_the_live_pair_a_consistent_difference_stays_open(base: Path, planted: Path) -> None:
    means = begun(MeanDifferenceAnalyzer(MeanOptions()))
    for item in forward_items(base, planted, texts(), NEED):
        means.observe(item)
    finding = judged(means.finish())
    assert finding.kind == "open" and "preset full" in finding.message


def test_sums_equal_a_computation_text_by_text(noisy_items: list[Any]) -> None:
    means = MeanDifferences((1.0,), 3)
    for item in noisy_items:
        means.observe(item)
    site = f"blocks.{LAYERS - 1}.out"
    by_place: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in place_names(3)}
    for item in noisy_items:
        b, f = (side.sites[site].double().numpy() for side in (item.base, item.trained))
        for row, offset in enumerate(item.rows.offset.tolist()):
            if offset < 0:
                continue
            by_place[ALL].append((b[row], f[row]))
            if offset < 3:
                by_place[f"token {offset}"].append((b[row], f[row]))
                by_place[FIRST].append((b[row], f[row]))
    for one in means.at(site):
        b, f = (np.stack(side) for side in zip(*by_place[one.place], strict=True))
        difference = f.astype(np.float32) - b.astype(np.float32)
        mean = difference.astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(one.mean, mean, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(one.base, b.mean(axis=0), rtol=1e-9, atol=1e-12)
        scale = (np.linalg.norm(b, axis=1).mean() + np.linalg.norm(f, axis=1).mean()) / 2
        assert one.relative == pytest.approx(np.linalg.norm(mean) / scale)
        energy = (difference.astype(np.float64) ** 2).sum(axis=1).mean()
        assert one.energy == pytest.approx(np.linalg.norm(mean) ** 2 / energy)
        assert (one.n, one.texts) == (len(b), 80)


@pytest.mark.parametrize("size", [0.0, 0.1, 0.5])
def test_the_interval_of_the_relative_norm_covers_where_noise_is_longer_than_the_difference(size: float) -> None:
    """The length of a mean of 160 texts in 256 dimensions is that of its noise: its interval covered in no draw."""
    rng, covered, groups = np.random.default_rng(7), 0, np.arange(160) % 16
    for _ in range(100):
        delta = 0.3 * rng.normal(size=(160, 256))
        delta[:, 0] += size
        one = MeanDifference(
            site="blocks.0.out",
            place=ALL,
            n=160,
            texts=160,
            sums=np.stack([delta[groups == g].sum(axis=0) for g in range(16)]),
            count=np.full(16, 10.0),
            base=np.zeros(256),
            trained=np.zeros(256),
            squares=(delta**2).mean(axis=0),
            norms=np.full((16, 2), 100.0),
        )
        found = _relative(one)
        assert found.interval is not None and found.estimate is not None
        assert found.interval.low <= found.estimate <= found.interval.high
        covered += found.interval.low <= size / 10 <= found.interval.high
    assert covered >= 90


def test_order_and_division_of_batches_change_nothing(noisy_items: list[Any]) -> None:
    def numbers(parts: Sequence[Sequence[Any]]) -> AnalyzerOutput:
        instances = [begun(MeanDifferenceAnalyzer(MeanOptions())) for _ in parts]
        for instance, part in zip(instances, parts, strict=True):
            for item in part:
                instance.observe(item)
        first, *others = instances
        for other in others:
            first.merge(other)
        return first.finish()

    whole = numbers([noisy_items])
    divided = numbers([noisy_items[::-1][::2], noisy_items[::-1][1::2], []])
    for one, two in zip(whole.measurements, divided.measurements, strict=True):
        assert one.id == two.id and one.value == pytest.approx(two.value, rel=1e-12)
        if one.interval is not None and two.interval is not None:
            assert one.interval.low == pytest.approx(two.interval.low, rel=1e-9, abs=1e-12)


def test_the_arrays_are_those_that_the_page_names(noisy_items: list[Any]) -> None:
    from safetensors.numpy import load

    means = begun(MeanDifferenceAnalyzer(MeanOptions(depths=0.5)))
    for item in noisy_items:
        means.observe(item)
    (artifact,) = means.finish().artifacts
    arrays = load(artifact.content)
    assert {name.rsplit(".", 1)[1] for name in arrays} == {"delta", "base", "trained", "sd", "count"}
    site = "blocks.2.out"
    assert arrays[f"{site}.delta"].shape == (7, WIDTH) and arrays[f"{site}.count"].tolist()[:2] == [80, 80]
    np.testing.assert_allclose(arrays[f"{site}.trained"] - arrays[f"{site}.base"], arrays[f"{site}.delta"], atol=1e-5)


def made(sums: np.ndarray, squares: float = 1.0) -> MeanDifference:
    groups, width = sums.shape
    return MeanDifference(
        site="blocks.0.out",
        place=ALL,
        n=groups,
        texts=groups,
        sums=sums,
        count=np.ones(groups),
        base=np.zeros(width),
        trained=np.zeros(width),
        squares=np.full(width, squares),
        norms=np.ones((groups, 2)),
    )


def test_the_sign_flip_test_holds_its_level_and_sees_a_shift() -> None:
    rng = np.random.default_rng(12)
    scales = rng.uniform(0.5, 3, size=(16, 1))  # groups of unlike size
    p = np.array([made(rng.normal(size=(16, 8)) * scales).p_value() for _ in range(300)])
    assert 0.02 <= np.mean(p <= 0.05) <= 0.085
    assert 0.42 <= np.mean(p <= 0.5) <= 0.58
    assert made(rng.normal(size=(16, 8)) + 1.5).p_value() < 0.001
    assert made(np.zeros((16, 8))).p_value() == 1


def test_standard_errors_and_halves_of_known_sums() -> None:
    rng = np.random.default_rng(13)
    sums = rng.normal(size=(16, 5)) + 2
    one = made(sums)
    expected = np.sqrt((sums.var(axis=0, ddof=1) / 16).sum())
    assert one.error() == pytest.approx(expected)
    even, odd = sums[::2].sum(axis=0), sums[1::2].sum(axis=0)
    assert one.split_half() == pytest.approx(even @ odd / np.linalg.norm(even) / np.linalg.norm(odd))


def test_p_values_of_random_directions_are_uniform(base: Path, noisy: Path) -> None:
    from scipy import stats

    with live_pair(base, noisy, texts(4)) as live:
        by_chance = chance(live, 199, 5.0, seed=1)
        fresh = random_directions(200, live.width, seed=99, name="test") * 5.0
        peaks = np.array([one.peak for one in read_out(live, fresh, by_chance, tokens=5)])
    assert stats.ks_2samp(peaks, by_chance.peaks).pvalue > 0.01
    p = (1 + (by_chance.peaks[None] >= peaks[:, None]).sum(axis=1)) / 200
    assert np.mean(p <= 0.05) <= 0.1


def test_withheld_texts_are_not_in_the_artifact(base: Path, planted: Path) -> None:
    _, lens = read(base, planted, excerpts=False)
    for row in content(lens)["steering"]["texts"]:
        assert {row[name][:7] for name in ("unsteered", "steered", "random")} == {"sha256:"}


def test_prompts_are_used_only_where_the_placeholder_is_a_token(base: Path, noisy: Path) -> None:
    with live_pair(base, noisy, texts(4)) as live:
        prompts = usable_prompts(live)
        assert len(prompts) == len(PROMPTS)
        assert [live.spelling(one.ids[one.position]).strip() for one in prompts] == ["?"] * 3
        assert usable_prompts(live, ("lamp lamp; ?? ?! ...",)) == ()  # the mark is part of another token


def test_the_strength_of_a_patch_is_where_prompts_agree_more_than_at_random() -> None:
    k = 4
    tops = np.zeros((4, 2, 2, k), dtype=np.int64)  # one direction and three random ones, two strengths, two prompts
    tops[0, 0] = [[1, 2, 3, 4], [5, 6, 7, 8]]
    tops[0, 1] = [[1, 2, 3, 9], [1, 2, 3, 8]]
    tops[1:, 0] = [[1, 2, 3, 4], [1, 2, 3, 4]]
    tops[1:, 1] = [[11, 12, 13, 14], [15, 16, 17, 18]]
    patched = Patched(scales=(1.0, 2.0), named=1, tops=tops, log_probs=np.zeros(tops.shape))
    said = patched.said(0, patched.agreement())
    assert (said.scale, said.advantage) == (2.0, pytest.approx(3 / 5))
    assert (said.tokens, said.prompts) == ((1, 2, 3), (2, 2, 2))


def test_coherence_of_written_texts_by_hand() -> None:
    def text(ids: tuple[int, ...], base: float, ended: bool = False) -> Written:
        return Written(token_ids=ids, text="", ended=ended, trained_logprob=0.0, base_logprob=base)

    assert cost([text((1, 2), -3.0, ended=True), text((1,), -2.0)]) == pytest.approx(1.5)
    assert repeats([text((1, 2, 1, 2), 0.0), text((1, 2, 3), 0.0)]) == pytest.approx((1 / 3 + 0) / 2)
    assert shares_of([text((1, 2, 1, 3), 0.0), text((), 0.0)], [1]).tolist() == [0.5, 0.0]


def test_a_number_taken_away_makes_nothing_calmer(base: Path, planted: Path, noisy: Path) -> None:
    import attrs

    means, lens = read(base, noisy)
    assert judged(means, lens).kind == "pass"
    halves = tuple(one for one in means.measurements if not one.metric.endswith("split_half"))
    assert judged(attrs.evolve(means, measurements=halves), lens).kind == "open"
    means, lens = read(base, planted)
    unread = tuple(one for one in lens.measurements if one.scope.layer != PLANTED)
    assert judged(means, attrs.evolve(lens, measurements=unread)).kind == "open"
