"""The measurements of diff mining, from what it concludes."""

from __future__ import annotations

import attrs

from afterburn_behaviour.mining.candidates import SMALLEST
from afterburn_behaviour.mining.options import MiningOptions
from afterburn_behaviour.mining.outcome import TOP, Outcome
from afterburn_behaviour.mining.tokens import LEVEL, Token
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Interval, Measurement, Scope, Test

_PREFIX = "behaviour.diff_mining"
SIGNS = ("gains", "losses")
_RATES = ("gain_rate", "loss_rate")
_NOTHING = "no plain text was read"
_SKETCH = "base's distribution was kept as a sketch"


def measurements(
    outcome: Outcome | None, options: MiningOptions, *, approximate: bool = False
) -> tuple[Measurement, ...]:
    """Totals of both signs, then the tokens found.

    Args:
        outcome: `None` where nothing was read.
        approximate: Whether base's log-probabilities came from a sketch.
    """
    if outcome is None:
        return tuple(undefined(f"{_PREFIX}.{name}", _NOTHING, n=0) for name in (f"found_{s}" for s in SIGNS)) + tuple(
            undefined(f"{_PREFIX}.{name}", _NOTHING, n=0)
            for name in (f"{kind}_{s}" for s in SIGNS for kind in ("top", "stability"))
        )
    made: list[Measurement] = []
    for sign, name in enumerate(SIGNS):
        made += [_count(outcome, sign, name), _top(outcome, sign, name), _stability(outcome, sign, name)]
        found = [token for token in outcome.tokens[sign] if token.found][: options.measured]
        for token in found:
            made += _token(token, outcome)
    if approximate:
        made = [
            m
            if m.value is None
            else attrs.evolve(m, approximate=True, reason=f"{m.reason}; {_SKETCH}" if m.reason else _SKETCH)
            for m in made
        ]
    return tuple(made)


def _count(outcome: Outcome, sign: int, name: str) -> Measurement:
    metric = f"{_PREFIX}.found_{name}"
    if not outcome.judged:
        return undefined(metric, _few(outcome), n=outcome.confirmed_units)
    if outcome.identical:
        reason = "no difference at any position"
    elif outcome.null is None:
        reason = "no scrambled change was read beside the pair, so the test of swapped sides alone decides"
    else:
        reason = f"the bar is {100 * outcome.null:.1f} %, the largest share of any token under one scrambled change"
    return measure(metric, outcome.found[sign], n=outcome.confirmed_units, reason=reason)


def _top(outcome: Outcome, sign: int, name: str) -> Measurement:
    metric = f"{_PREFIX}.top_{name}"
    first = outcome.first[sign]
    if outcome.identical or first is None:
        zero = measure(metric, 0.0, n=outcome.confirmed_units, reason=f"no token is among the {name} at any position")
        if not outcome.identical:
            return zero
        return attrs.evolve(
            zero,
            interval=Interval(low=0.0, high=0.0, level=LEVEL, method="identical"),
            test=Test(name="sign_flip", p_value=1.0),
        )
    if first.confirmed is None:
        return undefined(metric, _few(outcome), n=outcome.confirmed_units)
    made = measure(metric, first.confirmed, n=outcome.confirmed_units, reason=_told(first))
    return attrs.evolve(made, interval=first.interval, test=first.scrambled or first.swapped, null=first.null)


def _stability(outcome: Outcome, sign: int, name: str) -> Measurement:
    metric = f"{_PREFIX}.stability_{name}"
    value, size = outcome.stability[sign]
    if value is None:
        return undefined(metric, f"a half without a token among the {name}", n=outcome.confirmed_units)
    size = min(size, TOP)
    chance = size / (2 * outcome.vocabulary - size)
    reason = f"of the {size} commonest tokens of either half; about {chance:.3f} by chance; one value, so no interval"
    return measure(metric, value, n=sum(outcome.units), reason=reason)


def _token(token: Token, outcome: Outcome) -> list[Measurement]:
    """Rate, balance and mean log ratio of one token, on the confirmation half."""
    if token.confirmed is None or token.balance is None:
        return []
    place, n = Scope(token=token.id), outcome.confirmed_units
    reason = _told(token)
    rate = measure(f"{_PREFIX}.{_RATES[token.sign]}", token.confirmed, scope=place, n=n, reason=reason)
    rate = attrs.evolve(
        rate, interval=token.interval, test=token.scrambled, null=token.null, approximate=token.unseen > 0
    )
    balance = measure(f"{_PREFIX}.balance", token.balance, scope=place, n=n)
    made = [rate, attrs.evolve(balance, interval=token.balance_interval, test=token.swapped)]
    if token.log_ratio is not None:
        ratio = measure(f"{_PREFIX}.log_ratio", token.log_ratio, scope=place, n=n)
        made.append(attrs.evolve(ratio, interval=token.log_interval))
    return made


def _told(token: Token) -> str:
    """Which token it is, and what limits the rate."""
    cut = f"; lists of passages are cut, so it may be larger by {token.unseen:.2g}" if token.unseen > 0 else ""
    return f"token {token.id}, {token.text!r}{cut}"


def _few(outcome: Outcome) -> str:
    discover, confirm = outcome.units
    return (
        f"{discover} units to propose tokens and {min(confirm, outcome.confirmed_units)} to confirm them, "
        f"of at least {SMALLEST} each"
    )
