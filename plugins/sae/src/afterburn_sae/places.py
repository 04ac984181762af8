"""Where a dictionary reads, and where what it rebuilds lies."""

from __future__ import annotations

import re

from afterburn_sae.dictionary import Dictionary

_INSIDE = re.compile(r"(blocks\.\w+)\.(.+)")
_READ_BY_MLPS = ("mlp.in", "mlp.normed")


def written_by_default(site: str | None) -> str | None:
    """What a transcoder writes that names no site of its own: the output of the MLP whose input it reads."""
    inside = _INSIDE.fullmatch(site or "")
    return None if inside is None or inside[2] not in _READ_BY_MLPS else f"{inside[1]}.mlp.out"


def rebuilt_at(dictionary: Dictionary, site: str | None = None) -> str | None:
    """The site of x̂: the one that is read, or of a transcoder the one that it writes; `None` where that is unknown.

    Args:
        dictionary: which.
        site: where it reads, in place of its own site: a transcoder of one block writes that block then.
    """
    own, out = dictionary.site, dictionary.site_out
    if not dictionary.transcoder:
        return site or own
    if site is None or site == own:
        return out
    if own is None and dictionary.hook is None:
        return out or written_by_default(site)
    places = [_INSIDE.fullmatch(one or "") for one in (own, out, site)]
    before, after, asked = places
    if before is None or after is None or asked is None or before[1] != after[1] or before[2] != asked[2]:
        return None
    return f"{asked[1]}.{after[2]}"


def sites_of(dictionary: Dictionary, site: str | None = None) -> set[str]:
    """All sites whose activations are needed to encode and to judge the fit."""
    return {one for one in (site or dictionary.site, rebuilt_at(dictionary, site)) if one is not None}
