"""Batches: least padding, an order of the passages' own, and rows that say where every token stands."""

from __future__ import annotations

import itertools
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from afterburn_core.forward.encoded import Encoded, Packed
from afterburn_core.forward.model import CONTENT, FIRST, TEMPLATE, Passage
from afterburn_core.forward.packing import OVERHEAD, pack, padding_share
from afterburn_core.forward.rows import PADDING, grid, rows_of


def encoded(name: str, length: int, *, leading: int = 0, start: int = 0, source: str = "text") -> Encoded:
    passage = Passage(id=name, source=source, domain="d", unit=name)  # type: ignore[arg-type]
    ids = tuple(100 * (1 + int(name[1:])) + i for i in range(length))
    classes = bytes([TEMPLATE] * start + [FIRST if i < 5 else CONTENT for i in range(length - start)])
    return Encoded(passage=passage, ids=ids, classes=classes, text_start=start, leading=leading)


def cost(lengths: list[int], cuts: tuple[int, ...]) -> float:
    edges = [0, *cuts, len(lengths)]
    return sum(lengths[a] * (b - a) + OVERHEAD for a, b in itertools.pairwise(edges))


@given(st.lists(st.integers(1, 300), min_size=1, max_size=9), st.integers(40, 900))
def test_batches_are_the_cheapest_division_that_fits(lengths: list[int], budget: int) -> None:
    passages = [encoded(f"p{i}", n) for i, n in enumerate(lengths)]
    found = pack(passages, budget=budget)
    ordered = sorted(lengths, reverse=True)
    assert sorted(one.passage.id for batch in found for one in batch.encoded) == sorted(p.passage.id for p in passages)
    assert all(len(batch.encoded) == 1 or batch.width * len(batch.encoded) <= budget for batch in found)
    best = min(
        cost(ordered, cuts)
        for k in range(len(lengths))
        for cuts in itertools.combinations(range(1, len(lengths)), k)
        if all(b - a == 1 or ordered[a] * (b - a) <= budget for a, b in itertools.pairwise([0, *cuts, len(ordered)]))
    )
    assert sum(batch.width * len(batch.encoded) + OVERHEAD for batch in found) == best


def test_the_order_given_plays_no_part() -> None:
    passages = [encoded(f"p{i}", 3 + (7 * i) % 40) for i in range(60)]
    wanted = pack(passages, budget=256)
    shuffled = passages[:]
    random.Random(1).shuffle(shuffled)
    assert pack(shuffled, budget=256) == wanted
    assert [batch.number for batch in wanted] == list(range(len(wanted)))
    widths = [batch.width for batch in wanted]
    assert widths == sorted(widths, reverse=True)  # what does not fit the memory is met at once


def test_padding_is_counted_and_small() -> None:
    rng = random.Random(2)
    passages = [encoded(f"p{i}", int(rng.lognormvariate(3.6, 0.6)) + 2) for i in range(400)]
    batches = pack(passages, budget=2048)
    computed = sum(batch.width * len(batch.encoded) for batch in batches)
    real = sum(one.length for one in passages)
    assert padding_share(batches) == pytest.approx(1 - real / computed)
    assert padding_share(batches) < 0.1
    assert padding_share(()) == 0.0
    assert pack([], budget=64) == ()


def test_a_passage_longer_than_the_budget_is_read_alone() -> None:
    batches = pack([encoded("p0", 500), encoded("p1", 10), encoded("p2", 11)], budget=64)
    assert [[one.passage.id for one in batch.encoded] for batch in batches] == [["p0"], ["p2", "p1"]]


def test_rows_say_where_every_token_stands() -> None:
    packed = Packed(number=0, encoded=(encoded("p0", 4, leading=1, start=2, source="answer"), encoded("p1", 2)))
    rows = rows_of(packed, "cpu", str)
    assert [p.id for p in rows.passages] == ["p0", "p1"] and rows.n == packed.counted == 5
    assert rows.passage.tolist() == [0, 0, 0, 1, 1]
    assert rows.position.tolist() == [1, 2, 3, 0, 1]
    assert rows.token.tolist() == [101, 102, 103, 200, 201]
    assert rows.target.tolist() == [102, 103, -1, 201, -1]
    assert rows.offset.tolist() == [-1, 0, 1, 0, 1]
    assert rows.in_text.tolist() == [False, True, True, True, True]
    assert rows.token_class.tolist() == [TEMPLATE, FIRST, FIRST, FIRST, FIRST]
    assert rows.target_class.tolist()[:2] == [FIRST, FIRST]
    assert rows.decode(7) == "7"
    dtypes = {name: getattr(rows, name).dtype for name in ("passage", "position", "token", "target", "offset")}
    assert set(dtypes.values()) == {torch.int64}
    assert (rows.token_class.dtype, rows.target_class.dtype, rows.in_text.dtype) == (
        torch.uint8,
        torch.uint8,
        torch.bool,
    )


def test_the_last_row_of_a_prompt_alone_stands_before_its_answer() -> None:
    prompt = encoded("p0", 3, start=3, source="prompt")
    rows = rows_of(Packed(number=0, encoded=(prompt,)), "cpu", str)
    assert rows.offset.tolist() == [-3, -2, -1] and rows.target.tolist()[-1] == -1
    assert not rows.in_text.any()


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 2)), min_size=1, max_size=6))
def test_the_grid_holds_the_rows_at_their_places(shapes: list[tuple[int, int]]) -> None:
    packed = Packed(number=0, encoded=tuple(encoded(f"p{i}", n, leading=min(k, n)) for i, (n, k) in enumerate(shapes)))
    ids, mask, index = grid(packed, "cpu")
    rows = rows_of(packed, "cpu", str)
    assert ids.shape == mask.shape == (len(shapes), packed.width)
    assert torch.equal(ids.flatten()[index], rows.token)
    assert mask.sum() == sum(n for n, _ in shapes) and bool((ids[~mask] == PADDING).all())
    places = rows.passage * packed.width + rows.position
    assert torch.equal(index, places)
    counted = torch.zeros_like(mask.flatten())
    counted[index] = True
    assert int((mask.flatten() & ~counted).sum()) == sum(one.leading for one in packed.encoded)
