"""Sparse dictionaries in Markdown: whether they fit, what changed, what is risky, and the channels of the score."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from afterburn_core.report.inert import markdown
from afterburn_core.report.sae_channels import HEADS, Channels
from afterburn_core.report.sae_features import Row
from afterburn_core.report.sae_views import SaeViews

Draw = Callable[[tuple[str, ...], Sequence[tuple[str, ...]]], str]
"""Writes a table from its heads and rows, whose texts are inert by then."""


def sae_blocks(views: SaeViews, table: Draw, *, top: int) -> list[str]:
    """The section's blocks; none where the run has nothing on dictionaries.

    Args:
        views: what reports show.
        table: writes a table.
        top: features of one dictionary, and of one risk pack, that are listed.
    """
    blocks = [f"Part of this is not shown: {markdown(problem)}." for problem in views.problems]
    if views.tables:
        rows = [
            (
                markdown(one.card.name),
                "valid here" if one.card.valid else f"not valid here: {markdown(one.card.why) or 'no reason given'}",
                *(markdown(_sides(gauge.told)) for gauge in one.card.gauges),
                markdown(one.card.changed or "–"),
            )
            for one in views.tables
        ]
        blocks.append(
            table(("Dictionary", "Fits", "FVU, base → trained", "L0, base → trained", "Features changed"), rows)
        )
    for one in views.tables:
        changed = [row for row in one.rows if row.way]
        if changed:
            blocks.append(f"**Features of {markdown(one.card.name)} that changed**")
            blocks.append(table(_FEATURE_HEADS, [_feature(row) for row in changed[:top]]))
            if one.card.moved > top:
                blocks.append(f"{one.card.moved - top:,} more changed; the artifact `sae.features` lists the largest.")
    if views.maps:
        rows = [(one.title, markdown(one.largest), markdown(one.meaning)) for one in views.maps]
        blocks.append(table(("Drift", "Largest", "What it is"), rows))
    for pack in views.risks:
        blocks.append(f"**Risk pack {markdown(pack.name)} {markdown(pack.version)}**: {markdown(pack.told)}.")
        if pack.rows:
            named = [
                (
                    markdown(f"{row.feature} {row.label}".strip()),
                    markdown(row.set),
                    markdown(row.means),
                    markdown(f"{row.multiple} {row.bounds}".strip()),
                    markdown(f"{row.shift} ({row.null})"),
                    markdown(row.p),
                    row.word,
                )
                for row in pack.rows[:top]
            ]
            heads = (
                "Feature",
                "Probe set",
                "Base → trained",
                "Multiple, 95 %",
                "Shift (others)",
                "p, corrected",
                "Moved as the pack fears",
            )
            blocks.append(table(heads, named))
    if views.crosscoder is not None:
        facts = [
            (markdown(label), f"**{markdown(value)}**", markdown(note)) for label, value, note in views.crosscoder.facts
        ]
        blocks.append(f"**Crosscoder {markdown(views.crosscoder.site)}**")
        blocks.append(table(("Figure", "Value", "Meaning"), facts))
    return ["### Features", *blocks] if blocks else []


def channel_blocks(found: Channels, table: Draw) -> list[str]:
    """The table of channels, which stands wherever the finding does; nothing where the run has no channels."""
    if not found:
        return []
    why = [f"{markdown(name)}: {markdown(reason)}." for name, reason in found.reasons]
    rows = [tuple(map(markdown, row.cells)) for row in found.rows]
    return ["### Channels of misalignment", " ".join([markdown(found.summary), *why]), table(HEADS, rows)]


_FEATURE_HEADS = ("Feature", "Change", "Multiple", "Active on tokens", "Difference, 95 %", "p, corrected", "Label from")


def _feature(row: Row) -> tuple[str, ...]:
    return (
        markdown(f"#{row.number} {row.title}".strip()),
        "rose" if row.way == "up" else "fell",
        markdown(row.multiple),
        markdown(" → ".join(row.frequencies)),
        markdown(f"{row.difference} {row.bounds}".strip()),
        markdown(row.p),
        markdown(row.source or ("the tokens it promotes" if row.promoted else "–")),
    )


def _sides(told: Sequence[tuple[str, str]]) -> str:
    return " → ".join(f"{value} {bounds}".strip() for value, bounds in told)
