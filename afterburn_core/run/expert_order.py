"""Finds experts that the trained model has in another order: the same experts, the same router rows, other numbers.

Renumbering experts and router rows together leaves the function as it is, and would read as a change of everything.
The rows of the router are compared first: with D_ij = ‖b_i − t_j‖² / (‖b_i‖ ‖t_j‖), row i of the base is taken for row
j of the trained model where D_ij < 0.1 · D_ii; unrelated rows have D near 2. A sample of each expert must then agree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from afterburn_core.backends.derived import DerivedSource, View
from afterburn_core.backends.tensors import FLOATING, WeightSource
from afterburn_core.run.arrays import read_array, to_float64
from afterburn_core.run.naming import parse_name

Array = NDArray[np.float64]

_EXPERT = re.compile(r"(?P<block>.+)\.experts\.(?P<number>\d+)\.(?P<rest>.+)")
_ROUTER = re.compile(r"(?:gate|router)(?:\.\w+)*\.(?:weight|bias|e_score_correction_bias)")
_NEARER = 0.1
"""How much nearer than its own number another row must be."""
_SAMPLE = 512


def reorder_experts(base: WeightSource, trained: WeightSource) -> tuple[dict[str, View], list[str]]:
    """Views that present the trained model's experts in the base's order, and a note for each block put in order."""
    left, right = _blocks(base), _blocks(trained)
    views: dict[str, View] = {}
    notes = []
    for block in sorted(left.keys() & right.keys()):
        order = _order(base, trained, left[block], right[block])
        if order is None:
            continue
        views.update(_in_order(trained, right[block], order))
        moved = sum(i != j for i, j in enumerate(order))
        where = f"{block}: {moved} of {len(order)} experts have other numbers in the trained model"
        notes.append(f"{where}; compared in the base's order")
    return views, notes


class _Block:
    """One mixture of experts: stored names of the experts' tensors by what follows their number, and of the router."""

    def __init__(self) -> None:
        self.experts: dict[str, dict[int, str]] = {}
        self.router: dict[str, str] = {}

    @property
    def count(self) -> int:
        """Number of experts, 0 where their numbers do not run from 0 without a gap."""
        counts = {len(names) if names.keys() == set(range(len(names))) else 0 for names in self.experts.values()}
        return counts.pop() if len(counts) == 1 else 0


def _blocks(source: WeightSource) -> Mapping[str, _Block]:
    names = {stored: parse_name(stored).bare for stored in source.tensors}
    found: dict[str, _Block] = {}
    for stored, bare in names.items():
        match = _EXPERT.fullmatch(bare)
        if match:
            block = found.setdefault(match["block"], _Block())
            block.experts.setdefault(match["rest"], {})[int(match["number"])] = stored
    for stored, bare in names.items() if found else ():
        match = _ROUTER.search(bare)
        block_name = bare[: match.start()].removesuffix(".") if match and match.end() == len(bare) else None
        if match and block_name in found:
            found[block_name].router[match[0]] = stored
    return found


def _order(base: WeightSource, trained: WeightSource, left: _Block, right: _Block) -> list[int] | None:
    """The trained model's number of each of the base's experts; `None` where the order is the same or unclear."""
    count = left.count
    if count < 2 or count != right.count or left.experts.keys() != right.experts.keys():
        return None
    for name in sorted(left.router.keys() & right.router.keys()):
        ours, theirs = base.tensors[left.router[name]], trained.tensors[right.router[name]]
        usable = {ours.dtype, theirs.dtype} <= FLOATING and ours.shape == theirs.shape
        if usable and len(ours.shape) == 2 and ours.shape[0] == count:
            rows = [_values(s, i.name, i.numel).reshape(i.shape) for s, i in ((base, ours), (trained, theirs))]
            order = _nearest(rows[0], rows[1])
            return order if order is not None and _agree(base, trained, left, right, order) else None
    return None


def _nearest(base: Array, trained: Array) -> list[int] | None:
    """A permutation other than the identity that pairs rows (n, d) far better than their numbers do."""
    if np.array_equal(base, trained) or not (np.isfinite(base).all() and np.isfinite(trained).all()):
        return None
    left, right = np.linalg.norm(base, axis=1)[:, None], np.linalg.norm(trained, axis=1)[None, :]
    distance = (left**2 + right**2 - 2 * base @ trained.T) / np.maximum(left * right, 1e-300)  # (n, n)
    order = []
    for i, j in enumerate(distance.argmin(axis=1).tolist()):
        order.append(j if distance[i, j] < _NEARER * distance[i, i] else i)
    return order if sorted(order) == list(range(len(order))) and order != sorted(order) else None


def _agree(base: WeightSource, trained: WeightSource, left: _Block, right: _Block, order: Sequence[int]) -> bool:
    """Whether a sample of every renumbered expert is far nearer under its new number than under its old one."""
    rest = min(left.experts, key=lambda name: (not name.endswith("weight"), name))
    for i, j in enumerate(order):
        ours, old, new = left.experts[rest][i], right.experts[rest][i], right.experts[rest][j]
        if i == j:
            continue
        size = min(_SAMPLE, base.tensors[ours].numel, trained.tensors[new].numel, trained.tensors[old].numel)
        sample = _values(base, ours, size)
        apart = [float(np.sum((sample - _values(trained, name, size)) ** 2)) for name in (old, new)]
        if not apart[1] < _NEARER * apart[0]:
            return False
    return True


def _values(source: WeightSource, name: str, count: int) -> Array:
    return to_float64(read_array(source, name, 0, count))


def _in_order(trained: WeightSource, block: _Block, order: Sequence[int]) -> dict[str, View]:
    """Every expert's tensors under the number it has in the base, and the router's rows in that order."""
    views: dict[str, View] = {}
    for names in block.experts.values():
        views.update({names[i]: _view(trained, names[j]) for i, j in enumerate(order) if i != j})
    for stored in block.router.values():
        shape = trained.tensors[stored].shape
        if shape and shape[0] == len(order):
            whole = _view(trained, stored)
            columns = trained.tensors[stored].numel // len(order)
            views[stored] = View(
                source=whole.source,
                shape=shape,
                rows=len(order),
                columns=columns,
                picked=tuple((j, 1) for j in order),
            )
    return views


def _view(source: WeightSource, name: str) -> View:
    """The view that a presented tensor is of what is stored."""
    if isinstance(source, DerivedSource) and name in source.views:
        return source.views[name]
    info = source.tensors[name]
    return View(source=name, shape=info.shape, rows=info.numel, columns=1)
