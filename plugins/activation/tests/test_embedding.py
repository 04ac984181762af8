"""Embedding models compared: known answers, planted changes, and what must be nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from afterburn_activation.embedding import Embedding, Sides, mapped_across  # noqa: E402
from afterburn_activation.embedding_geometry import (  # noqa: E402
    cosine_distance,
    log_norm_ratio,
    participation,
    procrustes,
    spearman,
)
from afterburn_activation.embedding_judge import EmbeddingJudge  # noqa: E402
from afterburn_activation.embedding_neighbours import Overlap, nearest  # noqa: E402
from afterburn_activation.embedding_options import EmbeddingJudgeOptions, EmbeddingOptions  # noqa: E402
from afterburn_activation.embedding_retrieval import Judged, rankings, scores  # noqa: E402
from afterburn_activation.embedding_texts import items  # noqa: E402
from afterburn_core.forward.model import Vectors  # noqa: E402
from afterburn_core.judge.evidence import Evidence  # noqa: E402
from afterburn_core.plugin.roles import AnalyzerContext, AnalyzerOutput  # noqa: E402
from afterburn_core.result.model import Finding, Measurement, Scope  # noqa: E402

HOW = {"pooling": "mean", "normalise": False, "similarity": "cosine", "dimension": 12, "cut_texts": 0}
DIMENSIONS, DOCUMENTS, QUERIES = 12, 140, 130


def plain(seed: int = 0) -> Vectors:
    """Documents at random, and queries each near one document."""
    rng = np.random.default_rng(seed)
    documents = rng.normal(size=(DOCUMENTS, DIMENSIONS))
    queries = documents[:QUERIES] + rng.normal(size=(QUERIES, DIMENSIONS)) * 0.3
    rows = torch.from_numpy(np.concatenate([documents, queries])).float()
    ids = (*(f"d{i:03d}" for i in range(DOCUMENTS)), *(f"q{i:03d}" for i in range(QUERIES)))
    return Vectors(
        texts=tuple(f"text of {name}" for name in ids),
        ids=ids,
        kinds=("document",) * DOCUMENTS + ("query",) * QUERIES,
        relevant={f"q{i:03d}": {f"d{i:03d}": 1.0} for i in range(QUERIES)},
        base=rows,
        trained=rows.clone(),
        layers={side: {"blocks.0.out": rows.clone()} for side in ("base", "trained")},
        properties={"base": HOW, "trained": HOW},
    )


def changed(vectors: Vectors, trained: Any, how: Mapping[str, Any] | None = None) -> Vectors:
    """The same texts with other trained vectors."""
    import attrs

    return attrs.evolve(
        vectors, trained=torch.as_tensor(trained).float(), properties={"base": HOW, "trained": how or HOW}
    )


def found(vectors: Vectors, *, excerpts: bool = True) -> AnalyzerOutput:
    analyzer = Embedding(EmbeddingOptions())
    analyzer.begin(AnalyzerContext(subjects=(), seed=3, excerpts=excerpts))
    other = Embedding(EmbeddingOptions())
    other.begin(AnalyzerContext(subjects=(), seed=3, excerpts=excerpts))
    other.observe(vectors)
    analyzer.merge(other)
    return analyzer.finish()


def judged(output: AnalyzerOutput) -> dict[str, Finding]:
    artifacts = {one.id: json.loads(one.content) for one in output.artifacts if one.suffix == ".json"}
    evidence = Evidence(subjects=(), measurements=output.measurements, read_artifact=artifacts.get)
    return {one.rule.removeprefix("activation."): one for one in EmbeddingJudge(EmbeddingJudgeOptions())(evidence)}


def get(
    output: AnalyzerOutput, metric: str, subset: str | None = None, subjects: tuple[str, ...] = ("base", "trained")
) -> Measurement:
    matching = [
        one
        for one in output.measurements
        if one.metric == f"activation.{metric}" and one.scope.subset == subset and one.subjects == subjects
    ]
    assert len(matching) == 1
    return matching[0]


def value(output: AnalyzerOutput, metric: str, subset: str | None = None) -> float:
    number = get(output, metric, subset).value
    assert number is not None
    return number


@pytest.fixture(scope="module")
def rotation() -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(1).normal(size=(DIMENSIONS, DIMENSIONS)))[0]


def test_equal_models_differ_in_nothing() -> None:
    output = found(plain())
    contrasts = [one for one in output.measurements if one.subjects == ("base", "trained")]
    ones = ("cka", "rsa", "overlap", "self_found")
    for one in contrasts:
        assert one.value == (1.0 if any(name in one.metric for name in ones) else 0.0), one.id
        assert one.test is None or one.test.p_value == 1.0
        if "self_found" not in one.metric and "settings" not in one.metric:
            assert one.interval is not None
            assert (one.interval.low, one.interval.high) == (one.value, one.value), one.id
    assert {one.kind for one in judged(output).values()} == {"pass"}


def test_a_rotated_space_keeps_its_geometry_and_loses_its_index(rotation: np.ndarray) -> None:
    vectors = plain()
    output = found(changed(vectors, vectors.base.double().numpy() @ rotation))
    assert value(output, "embedding.distance") > 0.5
    assert value(output, "embedding.distance_aligned") < 1e-6
    assert value(output, "embedding.cka") == pytest.approx(1, abs=1e-6)
    assert value(output, "embedding.rsa") == pytest.approx(1, abs=1e-6)
    assert value(output, "embedding.neighbour_overlap", "k=10") == pytest.approx(1, abs=1e-3)
    assert value(output, "embedding.log_norm_ratio") == pytest.approx(0, abs=1e-6)
    assert value(output, "retrieval.ndcg") == pytest.approx(0, abs=1e-9)
    assert value(output, "index.recall_change", "as it is") < -0.5
    assert value(output, "index.recall_change", "mapped") == pytest.approx(0, abs=1e-9)
    assert value(output, "index.self_found", "as it is") < 0.2
    assert value(output, "index.self_found", "mapped") == 1
    rules = judged(output)
    assert rules["embedding_shift"].kind == "informational" and "geometry stayed" in rules["embedding_shift"].message
    assert "lose on the old index" in rules["index_compatibility"].message
    assert "with an orthogonal map they can" in rules["index_compatibility"].message
    assert rules["embedding_collapse"].kind == "pass"


def test_the_map_of_the_artifact_takes_new_vectors_to_old_ones(rotation: np.ndarray) -> None:
    from safetensors.numpy import load

    vectors = plain()
    trained = vectors.base.double().numpy() @ rotation
    output = found(changed(vectors, trained))
    (artifact,) = [one for one in output.artifacts if one.id == "activation.embedding_map"]
    kept = load(artifact.content)["rotation"]
    np.testing.assert_allclose(trained @ kept, vectors.base.numpy(), atol=1e-4)


def test_noise_moves_neighbours_and_retrieval_and_names_the_lost_queries() -> None:
    vectors = plain()
    noise = np.random.default_rng(2).normal(size=vectors.base.shape) * 1.5
    output = found(changed(vectors, vectors.base.numpy() + noise))
    assert value(output, "embedding.cka") < 0.6
    assert value(output, "embedding.neighbour_overlap", "k=5") < 0.4
    assert value(output, "retrieval.ndcg") < -0.2
    losses = value(output, "retrieval.loss_rate")
    assert losses > value(output, "retrieval.win_rate")
    shift = judged(output)["retrieval_shift"]
    assert (shift.kind, shift.level) == ("review", "warning") and shift.examples
    (artifact,) = [one for one in output.artifacts if one.id == "activation.embedding_retrieval"]
    content = json.loads(artifact.content)
    changes = [row["ndcg_trained"] - row["ndcg_base"] for row in content["queries"]]
    assert changes == sorted(changes) and content["total"] == QUERIES
    assert sum(content["histogram"]["base"]) == QUERIES


def test_vectors_that_crowd_together_are_called_a_collapse() -> None:
    vectors = plain()
    common = np.zeros(DIMENSIONS)
    common[0] = 20.0
    output = found(changed(vectors, vectors.base.numpy() + common))
    assert value(output, "embedding.unrelated_similarity") > 0.8
    rules = judged(output)
    assert (rules["embedding_collapse"].kind, rules["embedding_collapse"].level) == ("review", "warning")
    one_direction = np.outer(vectors.base.numpy()[:, 0], np.eye(DIMENSIONS)[1]) + 1e-3 * vectors.base.numpy()
    flat = found(changed(vectors, one_direction))
    assert get(flat, "embedding.participation_ratio", subjects=("trained",)).value == pytest.approx(1, abs=1e-3)
    assert value(flat, "embedding.participation_log_ratio") < -1
    assert value(flat, "embedding.near_duplicates") > 0.9


def test_other_dimensions_leave_geometry_comparable_and_the_index_closed() -> None:
    vectors = plain()
    output = found(changed(vectors, vectors.base.numpy()[:, :8]))
    plainly = get(output, "embedding.distance")
    assert plainly.value is None and "12 against 8 dimensions" in str(plainly.reason)
    assert 0.2 < value(output, "embedding.cka") < 1
    assert get(output, "index.recall_change", "as it is").value is None
    assert get(output, "index.recall_change", "mapped").value is not None
    assert "cannot search the old index" in judged(output)["index_compatibility"].message


def test_a_changed_pooling_is_a_finding_of_its_own() -> None:
    vectors = plain()
    output = found(changed(vectors, vectors.base, how=HOW | {"pooling": "cls", "normalise": True, "cut_texts": 4}))
    assert value(output, "embedding.settings_changed") == 2
    finding = judged(output)["pooling_changed"]
    assert (finding.kind, finding.level) == ("review", "warning")
    assert "pooling: 'mean' against 'cls'" in finding.message and "cut_texts" not in finding.message


def test_without_judged_queries_texts_tell_whether_the_index_fits(rotation: np.ndarray) -> None:
    import attrs

    vectors = attrs.evolve(plain(), relevant={})
    output = found(changed(vectors, vectors.base.double().numpy() @ rotation))
    assert get(output, "retrieval.ndcg").value is None
    rules = judged(output)
    assert rules["retrieval_shift"].kind == "not_applicable"  # texts without queries leave no run incomplete


def test_withheld_texts_appear_nowhere() -> None:
    vectors = plain()
    noise = np.random.default_rng(2).normal(size=vectors.base.shape)
    output = found(changed(vectors, vectors.base.numpy() + noise), excerpts=False)
    written = b"".join(one.content for one in output.artifacts) + repr(output.measurements).encode()
    assert b"text of" not in written and b"sha256:" in written


def test_the_order_of_texts_changes_nothing(rotation: np.ndarray) -> None:
    import attrs

    vectors = plain()
    noisy = changed(vectors, vectors.base.double().numpy() @ rotation + 0.1)
    order = np.random.default_rng(8).permutation(len(noisy.ids))
    picked = torch.from_numpy(order)
    shuffled = attrs.evolve(
        noisy,
        texts=tuple(noisy.texts[i] for i in order),
        ids=tuple(noisy.ids[i] for i in order),
        kinds=tuple(noisy.kinds[i] for i in order),
        base=noisy.base[picked],
        trained=noisy.trained[picked],
        layers={side: {site: rows[picked] for site, rows in one.items()} for side, one in noisy.layers.items()},
    )
    first, second = found(noisy), found(shuffled)
    assert [one.id for one in first.measurements] == [one.id for one in second.measurements]
    for one, two in zip(first.measurements, second.measurements, strict=True):
        assert (one.value is None) == (two.value is None)
        assert one.value is None or one.value == pytest.approx(two.value, rel=1e-12, abs=1e-15), one.id
    assert [one.content for one in first.artifacts] == [one.content for one in second.artifacts]


def test_near_equal_vectors_have_their_exact_distance() -> None:
    rng = np.random.default_rng(4)
    base = rng.normal(size=(5, 40))
    tangent = rng.normal(size=(5, 40))
    tangent -= (tangent * base).sum(1, keepdims=True) / (base**2).sum(1, keepdims=True) * base
    angle = 1e-7
    tangent *= np.linalg.norm(base, axis=1, keepdims=True) / np.linalg.norm(tangent, axis=1, keepdims=True)
    turned = base * math.cos(angle) + tangent * math.sin(angle)
    np.testing.assert_allclose(cosine_distance(base, turned), angle**2 / 2, rtol=1e-6)
    assert cosine_distance(base, base).tolist() == [0.0] * 5
    assert cosine_distance(base, -base) == pytest.approx([2.0] * 5)
    np.testing.assert_allclose(log_norm_ratio(base, base * math.e), 1.0, rtol=1e-12)
    assert np.isnan(cosine_distance(np.zeros((1, 3)), np.ones((1, 3)))).all()


def test_the_map_is_the_best_orthogonal_one_and_falls_back_to_none_where_texts_are_few() -> None:
    rng = np.random.default_rng(6)
    base = rng.normal(size=(400, 10))
    turn = np.linalg.qr(rng.normal(size=(10, 10)))[0]
    trained = (base + rng.normal(size=base.shape) * 0.1) @ turn.T
    np.testing.assert_allclose(procrustes(trained, base), turn, atol=0.02)
    wide = rng.normal(size=(20, 64))
    noisy = wide + rng.normal(size=wide.shape) * 0.3
    kept = procrustes(noisy, wide)
    assert np.abs(kept - np.eye(64)).max() < 0.2  # a free map of 20 texts in 64 dimensions would be far from it
    narrow = procrustes(base[:, :6], base)
    np.testing.assert_allclose(narrow @ narrow.T, np.eye(6), atol=1e-9)


def test_held_out_maps_do_not_praise_what_is_not_there() -> None:
    rng = np.random.default_rng(7)
    ids = tuple(f"t{i}" for i in range(60))
    unrelated = Sides(
        ids=ids, texts=ids, base=rng.normal(size=(60, 48)), trained=rng.normal(size=(60, 48)), identical=False
    )
    mapped = mapped_across(unrelated)
    assert mapped is not None
    assert float(cosine_distance(unrelated.base, mapped).mean()) > 0.8


def test_participation_and_rank_correlation_of_known_shapes() -> None:
    from scipy import stats

    rng = np.random.default_rng(9)
    rows = rng.normal(size=(4000, 6))
    assert participation(rows) == pytest.approx(6, rel=0.02)
    assert participation(np.outer(rng.normal(size=50), np.ones(6))) == pytest.approx(1)
    values = np.linalg.eigvalsh(np.cov(rows[:40].T))
    assert participation(rows[:40]) == pytest.approx(values.sum() ** 2 / (values**2).sum())
    x, y = rng.integers(0, 5, size=80).astype(float), rng.normal(size=80)
    assert spearman(x, y) == pytest.approx(float(stats.spearmanr(x, y).statistic))


def test_neighbours_and_their_overlaps_by_hand() -> None:
    angles = np.array([0.0, 0.1, 0.25, 2.0])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    order, closest = nearest(rows, 3)
    assert order.tolist() == [[1, 2, 3], [0, 2, 3], [1, 0, 3], [2, 1, 0]]
    np.testing.assert_allclose(closest, np.cos([0.1, 0.1, 0.15, 1.75]))
    overlap = Overlap.of(np.array([[1, 2, 3]]), np.array([[2, 1, 9]]))
    assert [overlap.jaccard(k).tolist() for k in (1, 2, 3)] == [[0.0], [1.0], [2 / 4]]
    p = 0.9
    expected = (1 - p) * (0 + p * 1 + p**2 * 2 / 3) + p**3 * 2 / 3
    np.testing.assert_allclose(overlap.rank_biased(p), [expected])
    same = Overlap.of(np.array([[4, 5, 6]]), np.array([[4, 5, 6]]))
    np.testing.assert_allclose(same.rank_biased(), [1.0])


def test_retrieval_scores_by_hand() -> None:
    judged_ = Judged.of(
        ["a", "b", "c"], ["d0", "d1", "d2"], {"a": {"d0": 1.0, "d2": 2.0}, "b": {"d1": 1.0}, "c": {"x": 1}}
    )
    assert judged_.queries == ("a", "b")  # nothing given answers c
    ranked = np.array([[1, 2, 0], [0, 2, 1]])
    one = scores(ranked, judged_)
    assert one.first.tolist() == [2, 3] and one.mrr.tolist() == [1 / 2, 1 / 3]
    assert one.recall[1].tolist() == [0.0, 0.0] and one.recall[5].tolist() == [1.0, 1.0]
    best = 2 / math.log2(2) + 1 / math.log2(3)
    got = 2 / math.log2(3) + 1 / math.log2(4)
    np.testing.assert_allclose(one.ndcg, [got / best, 1 / math.log2(4)])
    assert one.top.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("cosine", [1, 0, 2]), ("dot", [2, 1, 0]), ("euclidean", [0, 1, 2]), ("manhattan", [0, 1, 2])],
)
def test_each_similarity_ranks_as_it_should(kind: str, expected: list[int]) -> None:
    query = np.array([[1.0, 0.2]])
    documents = np.array([[1.0, 0.0], [2.0, 0.4], [3.0, 4.0]])
    assert rankings(query, documents, kind).tolist() == [expected]


def test_the_shipped_retrieval_set_is_whole() -> None:
    probes = list(items(5, None))
    documents = {one.id for one in probes if one.properties["kind"] == "document"}
    queries = [one for one in probes if one.properties["kind"] == "query"]
    assert len(documents) >= 200 and len(queries) >= 60
    assert len({one.text for one in probes}) == len(probes) == len({one.id for one in probes})
    for query in queries:
        grades = query.properties["relevant"]
        assert set(grades) <= documents and max(grades.values()) == 2.0
    assert list(items(5, None)) == probes and list(items(6, None)) != probes
    few = list(items(5, 30))
    assert few == probes[: len(few)] and len(few) <= 30


def test_few_texts_are_said_to_be_few() -> None:
    vectors = plain()
    rows = slice(0, 8)
    few = Vectors(
        texts=vectors.texts[rows],
        ids=vectors.ids[rows],
        kinds=("text",) * 8,
        relevant={},
        base=vectors.base[rows],
        trained=vectors.base[rows] * 2,
        properties={"base": HOW, "trained": HOW},
    )
    output = found(few)
    assert get(output, "embedding.cka").value is None and "8 texts" in str(get(output, "embedding.cka").reason)
    assert value(output, "embedding.distance") == pytest.approx(0, abs=1e-12)
    assert value(output, "embedding.log_norm_ratio") == pytest.approx(math.log(2))
    nothing = Embedding(EmbeddingOptions())
    nothing.begin(AnalyzerContext(subjects=(), seed=0))
    assert {one.status for one in nothing.finish().measurements} == {"undefined"}
    assert Scope() == get(output, "embedding.cka").scope
