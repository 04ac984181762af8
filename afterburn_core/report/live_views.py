"""What the page shows of models that were blended and amplified in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from afterburn_core.report.live_amplification import Amplified, amplified
from afterburn_core.report.live_scaling import Scaling, scaling

if TYPE_CHECKING:
    from afterburn_core.result.view import ResultView


@attrs.frozen(kw_only=True)
class LiveLimits:
    """How much of it a page carries."""

    phrases: int = 15
    openings: int = 3
    """Openings whose texts are open; the others are folded away."""


@attrs.frozen(kw_only=True)
class LiveViews:
    """Everything the section needs; parts are empty where the run has no data for them."""

    amplified: Amplified
    scaling: Scaling
    limits: LiveLimits

    def __bool__(self) -> bool:
        return bool(self.amplified or self.scaling)


def live_views(view: ResultView, limits: LiveLimits) -> LiveViews:
    """Reads the artifacts that it shows and nothing else."""
    return LiveViews(amplified=amplified(view, phrases=limits.phrases), scaling=scaling(view), limits=limits)
