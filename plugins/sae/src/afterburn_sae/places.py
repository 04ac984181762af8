"""Where a dictionary reads, and where what it rebuilds lies."""

from __future__ import annotations

import re

from afterburn_sae.dictionary import Dictionary


def rebuilt_at(dictionary: Dictionary, site: str | None = None) -> str | None:
    """The site of x̂: the one that is read, or of a transcoder the one that it writes; `None` where that is unknown.

    Args:
        dictionary: which.
        site: where it reads, in place of its own site.
    """
    reads = site or dictionary.site
    if not dictionary.transcoder or dictionary.site_out is not None:
        return dictionary.site_out if dictionary.transcoder else reads
    mlp = re.fullmatch(r"(blocks\.\w+\.mlp)\.in", reads or "")
    return None if mlp is None else f"{mlp[1]}.out"


def sites_of(dictionary: Dictionary, site: str | None = None) -> set[str]:
    """All sites whose activations are needed to encode and to judge the fit."""
    return {one for one in (site or dictionary.site, rebuilt_at(dictionary, site)) if one is not None}
