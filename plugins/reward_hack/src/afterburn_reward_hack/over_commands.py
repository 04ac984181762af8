"""`afterburn over-optimisation`: reads finished runs of checkpoints and says where quality was highest."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from afterburn_reward_hack.overoptimisation import Checkpoint, Course, Gain


@click.command(name="over-optimisation")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN RUN RUN…")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def over_optimisation(runs: tuple[Path, ...], as_json: bool) -> None:
    """Say at which checkpoint quality was highest.

    Takes run directories of `afterburn hack-check --reward …`, one per checkpoint, all against the same base.

    \b
    afterburn over-optimisation runs/step-100 runs/step-200 runs/step-300
    """
    from afterburn_core.errors import ConfigError
    from afterburn_reward_hack.overoptimisation import course

    checkpoints = [checkpoint(run) for run in runs]
    try:
        found = course(checkpoints)
    except ValueError as error:
        raise ConfigError(f"over-optimisation: {error}") from error
    if as_json:
        click.echo(json.dumps(_plain(found), indent=1))
        return
    for line in told(found):
        click.echo(line)


def checkpoint(run: Path) -> Checkpoint:
    """What a finished run says of its checkpoint.

    Raises:
        ConfigError: it is no run, or lacks reward, quality or the distance from the base.
    """
    from afterburn_core.errors import ConfigError
    from afterburn_core.result import codec
    from afterburn_reward_hack.overoptimisation import Checkpoint
    from afterburn_reward_hack.proxy import POINTS

    result = codec.read(run / "result.json")
    kl = next(
        (m for m in result.measurements if m.id == "behaviour.cross_scoring.sequence_kl/base+trained/model"), None
    )
    if kl is None or kl.value is None:
        raise ConfigError(
            f"{run}: no distance from the base was measured; run hack-check with both models, not recorded"
        )
    kept = next((artifact for artifact in result.artifacts if artifact.id == POINTS), None)
    if kept is None:
        raise ConfigError(f"{run}: no answer was scored; run hack-check with --reward")
    points = json.loads((run / kept.path).read_text(encoding="utf-8"))["points"]
    gains: dict[str, dict[str, list[float]]] = {"reward": {}, "gold": {}}
    for point in points:
        for key, by_unit in gains.items():
            base, trained = point[f"{key}_base"], point[f"{key}_trained"]
            if base is not None and trained is not None:
                by_unit.setdefault(point["unit"], []).append(trained - base)
    means = {key: {unit: math.fsum(v) / len(v) for unit, v in by_unit.items()} for key, by_unit in gains.items()}
    if not means["gold"]:
        raise ConfigError(f"{run}: no scored prompt has a known quality; ask prompts with gold answers, or give --gold")
    trained = next((subject.label for subject in result.subjects if subject.role == "trained"), run.name)
    return Checkpoint(label=trained, distance=math.sqrt(max(0.0, kl.value)), reward=means["reward"], gold=means["gold"])


def told(found: Course) -> list[str]:
    """The course in lines for a terminal."""
    width = max(10, *(len(point.label) for point in found.points))
    lines = [f"{'checkpoint':<{width}}  √KL    {'reward':<24}  quality"]
    for point in found.points:
        mark = "  past the best" if point.past else ""
        gains = f"{_gain(point.reward):<24}  {_gain(point.gold)}"
        lines.append(f"{point.label:<{width}}  {point.distance:<5.2f}  {gains}{mark}")
    lines.append("")
    for law in found.laws:
        at = "quality still rises" if math.isinf(law.best) else f"quality is highest at √KL = {law.best:.2f}"
        span = f"[{law.low:.2f}, {'∞' if math.isinf(law.high) else f'{law.high:.2f}'}]"
        lines.append(f"{law.law}: {at} {span}, residual {law.residual:.3f}")
    lines.append(f"n = {found.n} prompts; intervals 95 %, by bootstrap over prompts")
    return lines


def _gain(gain: Gain) -> str:
    span = "" if gain.low is None or gain.high is None else f" [{gain.low:+.3g}, {gain.high:+.3g}]"
    return f"{gain.value:+.3g}{span}"


def _plain(found: Course) -> dict[str, Any]:
    """The course as JSON values; an infinite distance is `null`."""
    import attrs

    def value(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: value(one) for key, one in item.items()}
        if isinstance(item, list | tuple):
            return [value(one) for one in item]
        return None if isinstance(item, float) and not math.isfinite(item) else item

    plain: dict[str, Any] = value(attrs.asdict(found))
    return plain
