"""What features did in each passage: sums over its tokens, for both sides at once, of active features alone.

Counted are tokens of the classes `content` and `first`, without the token at position 0, whose norm is hundreds of
times that of the others in many models (arXiv 2402.17762); or the last token of every prompt alone, where its answer
begins; or all but position 0. Template tokens are the same in all prompts, and say little of any.

Passages are kept apart until the end: sums over them are then taken in the order of their names, so that they do not
depend on how a pass was divided.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from afterburn_core.forward.model import CONTENT, FIRST, Passage, Rows
from afterburn_sae.encoded import Codes

Floats = NDArray[np.float64]


@attrs.frozen(kw_only=True, eq=False)
class Tally:
    """One passage. Arrays are over its u features that were active at a counted token of either side, ascending."""

    unit: str
    domain: str
    tokens: int
    """Counted tokens."""
    variant: str | None
    """Which of several forms of one prompt this is, where its set says so."""
    features: NDArray[np.int32]
    base: NDArray[np.float32]
    """Σ over tokens of the base's activations."""
    difference: NDArray[np.float32]
    """Σ over tokens of trained − base; exactly 0 where the sides are equal."""
    base_active: NDArray[np.int32]
    """Tokens at which the feature was active."""
    trained_active: NDArray[np.int32]
    attribution: NDArray[np.float32] | None = None
    """Σ over tokens (`attribution`); `None` where none was taken."""
    attributed: int = 0
    """Tokens that it was taken over."""
    group: str | None = None
    """Which subject its prompt asks about, where a group of prompts is suspected."""


@attrs.frozen(kw_only=True, eq=False)
class Paired:
    """Active latents of either side at the counted tokens of a batch, side by side; (a), by row, then feature."""

    row: torch.Tensor
    """int64 into the rows of the batch."""
    feature: torch.Tensor
    """int64."""
    base: torch.Tensor
    """float64; 0 where only the other side is active."""
    trained: torch.Tensor


@attrs.frozen(kw_only=True, eq=False)
class Counted:
    """The tokens of a batch that count."""

    passages: tuple[Passage, ...]
    index: torch.Tensor
    """(m) int64 into the rows."""
    passage: torch.Tensor
    """(m) int64 into `passages`."""
    tokens: tuple[int, ...]
    """By passage."""

    @property
    def chosen(self) -> tuple[int, ...]:
        """Passages with a token that counts."""
        return tuple(i for i, count in enumerate(self.tokens) if count)


def counted(rows: Rows, sources: Collection[str], positions: str = "content") -> Counted:
    """The tokens of passages of these sources that count: `content`, `last` or `all`."""
    wanted = [passage.source in sources for passage in rows.passages]
    mine = torch.tensor(wanted, dtype=torch.bool, device=rows.token.device)[rows.passage]
    kind = (rows.token_class == CONTENT) | (rows.token_class == FIRST)
    if positions == "last":
        prompt = [passage.source == "prompt" for passage in rows.passages]
        kind = torch.tensor(prompt, device=rows.token.device)[rows.passage] & (rows.offset == -1)
    elif positions == "all":
        kind = torch.ones_like(kind)
    index = (mine & kind & (rows.position > 0)).nonzero()[:, 0]
    passage = rows.passage[index]
    tokens = torch.bincount(passage, minlength=len(rows.passages)).tolist()
    return Counted(passages=rows.passages, index=index, passage=passage, tokens=tuple(tokens))


def without(here: Counted, passages: Collection[int]) -> Counted:
    """The same less some passages."""
    if not passages:
        return here
    gone = torch.tensor(sorted(passages), dtype=torch.int64, device=here.passage.device)
    kept = ~torch.isin(here.passage, gone)
    tokens = tuple(0 if i in passages else count for i, count in enumerate(here.tokens))
    return Counted(passages=here.passages, index=here.index[kept], passage=here.passage[kept], tokens=tokens)


def paired(base: Codes, trained: Codes, here: Counted) -> Paired:
    """The two sides' codes at the counted tokens, matched by row and feature."""
    device = base.rows.device
    counts = torch.zeros(base.n, dtype=torch.bool, device=device)
    counts[here.index] = True
    sides = [(one, counts[one.rows]) for one in (base, trained)]
    keys = torch.cat([one.rows[kept] * one.latents + one.features[kept] for one, kept in sides])
    found, place = torch.unique(keys, return_inverse=True)
    split = int(sides[0][1].sum())
    values = torch.zeros((2, len(found)), dtype=torch.float64, device=device)
    values[0, place[:split]] = base.values[sides[0][1]].double()
    values[1, place[split:]] = trained.values[sides[1][1]].double()
    row = torch.div(found, base.latents, rounding_mode="floor")
    return Paired(row=row, feature=found - row * base.latents, base=values[0], trained=values[1])


def tallied(
    rows: Rows,
    here: Counted,
    both: Paired,
    attributions: tuple[torch.Tensor, Mapping[int, int]] | None = None,
    grouped_by: str | None = None,
) -> dict[str, Tally]:
    """Every passage with a counted token, by its id.

    Args:
        rows: of the batch.
        here: its tokens that count.
        both: codes at them.
        attributions: one number per entry of `both`, and tokens by passage that they were taken at.
        grouped_by: the property of probes that says which group a prompt belongs to.
    """
    passage = rows.passage[both.row]
    latents = int(both.feature.max()) + 1 if len(both.feature) else 1
    keys, place = torch.unique(passage * latents + both.feature, return_inverse=True)
    columns = [both.base, both.trained - both.base, (both.base > 0).double(), (both.trained > 0).double()]
    columns += [] if attributions is None else [attributions[0].double()]
    sums = torch.zeros((len(keys), len(columns)), dtype=torch.float64, device=keys.device)
    sums.index_add_(0, place, torch.stack(columns, dim=1))
    owner, feature = np.divmod(keys.cpu().numpy(), latents)
    numbers = sums.cpu().numpy()
    ends = np.searchsorted(owner, np.arange(len(here.passages) + 1))
    taken = {} if attributions is None else attributions[1]
    found = {}
    for i in here.chosen:
        part, one = slice(ends[i], ends[i + 1]), here.passages[i]
        found[one.id] = Tally(
            unit=one.unit,
            domain=one.domain,
            tokens=here.tokens[i],
            variant=_property(one, "variant") or _property(one, "frame"),
            group=None if grouped_by is None else _property(one, grouped_by),
            features=feature[part].astype(np.int32),
            base=numbers[part, 0].astype(np.float32),
            difference=numbers[part, 1].astype(np.float32),
            base_active=numbers[part, 2].astype(np.int32),
            trained_active=numbers[part, 3].astype(np.int32),
            attribution=numbers[part, 4].astype(np.float32) if taken.get(i) else None,
            attributed=taken.get(i, 0),
        )
    return found


def _property(passage: Passage, name: str) -> str | None:
    found = None if passage.probe is None else passage.probe.properties.get(name)
    return found if isinstance(found, str) else None


@attrs.frozen(kw_only=True, eq=False)
class Table:
    """Features by prompt, the prompt being the unit: means over the tokens of all its passages. Column by column."""

    units: tuple[str, ...]
    tokens: int
    features: NDArray[np.int64]
    """(m), ascending: all that were active anywhere."""
    starts: NDArray[np.int64]
    """(m + 1), where each feature's entries begin."""
    unit: NDArray[np.int64]
    """(e), index into `units`."""
    base: Floats
    """(e), mean activation of the base."""
    difference: Floats
    """(e), trained − base."""
    tested: Floats
    """(e), what is tested: the difference, or how much larger it is than under another variant of the prompt."""
    base_frequency: Floats
    """(e), share of the tokens at which it was active."""
    trained_frequency: Floats
    attribution: Floats | None
    """(m), mean over attributed prompts of the mean over their tokens; `None` where none was taken."""
    attributed: int
    """Prompts that attributions were taken on."""


def table(tallies: Mapping[str, Tally]) -> Table:
    """All passages, prompt by prompt."""
    ordered = [tallies[name] for name in sorted(tallies)]
    units = tuple(sorted({one.unit for one in ordered}))
    number = {unit: i for i, unit in enumerate(units)}
    tokens, asked = np.zeros(len(units)), np.zeros(len(units))
    for one in ordered:
        tokens[number[one.unit]] += one.tokens
        asked[number[one.unit]] += one.attributed
    sizes = [len(one.features) for one in ordered]
    feature = np.concatenate([np.empty(0, np.int32), *(one.features for one in ordered)]).astype(np.int64)
    unit = np.repeat(np.array([number[one.unit] for one in ordered], dtype=np.int64), sizes)
    order = np.lexsort((unit, feature))  # stable: passages of a unit stay in the order of their names
    feature, unit = feature[order], unit[order]
    first = np.flatnonzero(np.r_[True, (np.diff(feature) != 0) | (np.diff(unit) != 0)]) if len(feature) else feature

    def summed(name: str) -> Floats:
        parts = [getattr(one, name) for one in ordered]
        filled = [np.zeros(n) if part is None else part for part, n in zip(parts, sizes, strict=True)]
        values = np.concatenate(filled or [np.empty(0)]).astype(np.float64)[order]
        return np.add.reduceat(values, first) if len(values) else values

    unit, feature = unit[first], feature[first]
    features, starts = np.unique(feature, return_index=True)
    by_unit = {name: summed(name) / tokens[unit] for name in ("base", "difference", "base_active", "trained_active")}
    attribution = None
    if asked.any():
        shares = np.divide(summed("attribution"), asked[unit], out=np.zeros(len(unit)), where=asked[unit] > 0)
        attribution = (np.add.reduceat(shares, starts) if len(starts) else shares) / np.count_nonzero(asked)
    return Table(
        units=units,
        tokens=int(tokens.sum()),
        features=features,
        starts=np.r_[starts, len(unit)].astype(np.int64),
        unit=unit,
        base=by_unit["base"],
        difference=by_unit["difference"],
        tested=by_unit["difference"],
        base_frequency=by_unit["base_active"],
        trained_frequency=by_unit["trained_active"],
        attribution=attribution,
        attributed=int(np.count_nonzero(asked)),
    )
