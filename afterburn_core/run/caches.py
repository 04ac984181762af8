"""The caches of one run, opened by what their numbers depend on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from afterburn_core import __version__
from afterburn_core.errors import ConfigError
from afterburn_core.plugin.registry import Registry
from afterburn_core.result.model import Subject
from afterburn_core.run.cache import RowCache, cache_key, default_cache_dir
from afterburn_core.run.configuration import Settings
from afterburn_core.run.directory import check_writable
from afterburn_core.run.spectra import VERSION as SPECTRA_VERSION
from afterburn_core.run.sums import VERSION as SUMS_VERSION

if TYPE_CHECKING:
    from afterburn_core.run.spectra_cache import SpectraCache


@attrs.frozen(kw_only=True)
class Caches:
    """Where finished work of a run is kept."""

    rows: RowCache
    """Sums of the pair."""
    base: SpectraCache
    """Spectra of base, which serve every candidate against it."""
    pair: SpectraCache
    """Spectra of trained and of the difference."""

    def discard(self) -> None:
        """Removes all entries: their inputs changed while they were filled."""
        self.rows.discard()
        for cache in (self.base, self.pair):
            shutil.rmtree(cache.directory, ignore_errors=True)

    def close(self) -> None:
        self.rows.close()


def open_caches(settings: Settings, subjects: tuple[Subject, ...], device: str, registry: Registry) -> Caches | None:
    """The caches for two subjects; `None` if the run shall not use any.

    Raises:
        ConfigError: the directory cannot be created or written.
    """
    if not settings.cache:
        return None
    common = {
        "core": __version__,
        "device": device,
        # whoever reads the files decides what the numbers are numbers of
        "readers": {r.plugin.name: r.plugin.version for role in ("backend", "reader") for r in registry.specs(role)},
    }
    identities = [{"digest": subject.digest, "backend": subject.backend} for subject in subjects]
    sums = {**common, "kind": "weight_sums", "version": SUMS_VERSION, "subjects": identities}
    spectra = {
        **common,
        "kind": "weight_spectra",
        "version": SPECTRA_VERSION,
        "sums": SUMS_VERSION,
        "precision": "float64" if settings.preset == "full" else "float32",
    }
    root = Path(settings.cache_dir) if settings.cache_dir else default_cache_dir()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cache {root}: cannot be created ({error.strerror}); use --cache-dir or --no-cache"
        ) from error
    check_writable(root, "--cache-dir, or use --no-cache")
    return Caches(
        rows=RowCache(root, cache_key(sums), sums),
        base=_spectra_cache(root, cache_key({**spectra, "subjects": identities[:1]})),
        pair=_spectra_cache(root, cache_key({**spectra, "subjects": identities})),
    )


def _spectra_cache(root: Path, key: str) -> SpectraCache:
    from afterburn_core.run.spectra_cache import SpectraCache  # needs NumPy, which planning does not

    return SpectraCache(directory=root / key[:2] / key)
