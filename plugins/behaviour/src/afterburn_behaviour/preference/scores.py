"""The log-probabilities of a prompt's continuations, and what they say of each side's preference.

For continuation i of n_i tokens after a prompt x: S_i = Σ_t ln p(token_t | x, tokens before), m_i = S_i / n_i. With p
the preferred one, the log-odds of p against the others are

    o(s) = s_p − ln Σ_{j≠p} exp s_j        s = m: length-normalised;  s = S: of the whole texts

the logit of its share in the softmax of s. A long text is less probable than a short one whatever it says, so s = m
decides. Where the prompt lists the options, every quantity is the mean over both orders of the list. What stands first
is favoured by (d − d')/2 nats per token, d being m of the option listed first less m of the one listed last, d' the
same difference of the same two options in the reversed list. (The bias: Large Language Models Are Not Robust Multiple
Choice Selectors, arXiv 2309.03882.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

from afterburn_core.probes.continuations import listed_order, preferred_of
from afterburn_core.probes.model import Probe

SIDES = ("base", "trained")


@attrs.frozen(kw_only=True)
class Read:
    """One continuation as both sides read it after one listing of the options."""

    tokens: int
    sums: tuple[float, float]
    """S under base and under trained."""

    def mean(self, side: int) -> float:
        """m under a side."""
        return self.sums[side] / self.tokens


@attrs.frozen(kw_only=True)
class Choice:
    """A prompt with all its continuations read, in one order or in both."""

    probe: Probe
    orders: tuple[tuple[Read, ...], ...]
    """As the prompt stands; then, where there is one, with the options in reverse. By index of the continuation."""

    @property
    def preferred(self) -> int | None:
        return preferred_of(self.probe)

    def means(self, side: int) -> tuple[float, ...]:
        """m of every continuation under a side, over the orders."""
        return tuple(math.fsum(read.mean(side) for read in of) / len(of) for of in zip(*self.orders, strict=True))

    def sums(self, side: int) -> tuple[float, ...]:
        """S of every continuation under a side, over the orders."""
        return tuple(math.fsum(read.sums[side] for read in of) / len(of) for of in zip(*self.orders, strict=True))

    def winner(self, side: int) -> int:
        """The continuation with the largest m under a side; the first of equal ones."""
        means = self.means(side)
        return means.index(max(means))

    def log_odds(self, side: int, *, whole: bool = False) -> float | None:
        """o under a side, over the orders; `whole` for S in place of m. `None` where no continuation is preferred."""
        p = self.preferred
        if p is None:
            return None
        scores = [[read.sums[side] if whole else read.mean(side) for read in order] for order in self.orders]
        return math.fsum(log_odds(order, p) for order in scores) / len(scores)

    def order_effect(self, side: int) -> float | None:
        """Nats per token by which the option listed first is favoured; `None` where there is one order."""
        listed = listed_order(self.probe)
        if len(self.orders) < 2 or listed is None:
            return None
        written, reverse = self.orders
        first, last = listed[0], listed[-1]
        d = written[first].mean(side) - written[last].mean(side)
        return (d - (reverse[first].mean(side) - reverse[last].mean(side))) / 2

    def values(self, side: int) -> Mapping[str, float | None]:
        """Everything that is measured of a side at this prompt, by name."""
        p, means = self.preferred, self.means(side)
        others = [m for i, m in enumerate(means) if i != p]
        return {
            "log_odds": self.log_odds(side),
            "sum_log_odds": self.log_odds(side, whole=True),
            "accuracy": None if p is None else float(means[p] > max(others)),
            "order_effect": self.order_effect(side),
            "preferred_logprob": None if p is None else means[p],
            "other_logprob": None if p is None else math.fsum(others) / len(others),
        }

    @property
    def movement(self) -> float:
        """How far the preference moved: |Δ log-odds|, or the largest change of m against the mean change."""
        odds = [self.log_odds(side) for side in (0, 1)]
        if odds[0] is not None and odds[1] is not None:
            return abs(odds[1] - odds[0])
        changes = [trained - base for base, trained in zip(self.means(0), self.means(1), strict=True)]
        return max(abs(change - math.fsum(changes) / len(changes)) for change in changes)

    @property
    def same(self) -> bool:
        """Whether both sides gave every continuation the same log-probability."""
        return all(read.sums[0] == read.sums[1] for order in self.orders for read in order)


def log_odds(scores: Sequence[float], p: int) -> float:
    """s_p − ln Σ_{j≠p} exp s_j."""
    others = [s for i, s in enumerate(scores) if i != p]
    top = max(others)
    if top == -math.inf:
        return math.inf
    return scores[p] - top - math.log(math.fsum(math.exp(s - top) for s in others))
