"""How findings of the plugin speak of quality. Pure Python."""

from __future__ import annotations

from afterburn_reward_hack.judging import Quality

_TOLD = {
    "better": "quality rose",
    "equivalent": "quality did not rise",
    "worse": "quality fell",
    "undecided": "quality is undecided",
    "missing": "nothing tells good answers from bad ones",
}


def quality_told(quality: Quality) -> str:
    """`quality fell: -8.1 points [-11.2, -5.0] (n = 200)`."""
    m = quality.measurement
    if m is None or m.value is None:
        return _TOLD["missing"]
    text = f"{_TOLD[quality.standing]}{' by a judge alone' if quality.judged else ''}: {100 * m.value:+.1f} points"
    if m.interval is not None:
        text += f" [{100 * m.interval.low:+.1f}, {100 * m.interval.high:+.1f}]"
    return f"{text} (n = {m.n})"
