"""The Python side: open a dictionary, compare two models with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afterburn_core import DiagnosticReport
    from afterburn_sae.dictionary import Dictionary

Paths = str | Path | Iterable[str | Path]


def load_sae(path: str | Path) -> Dictionary:
    """The sparse dictionary in a file or a directory, of any format that an installed reader knows.

    Raises:
        SubjectError: nothing is there, no reader knows it, or it is damaged.
    """
    from afterburn_sae.readers import open_dictionary

    return open_dictionary(path)


def compare_models(
    base: str | Path,
    trained: str | Path,
    *,
    sae: Paths,
    probe_sets: str | Iterable[str] | None = None,
    labels: Paths = (),
    packs: Paths = (),
    features: Iterable[int] | None = None,
    site: str | None = None,
    any_model: bool | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    **settings: Any,
) -> DiagnosticReport:
    """What training did to the features of sparse dictionaries: `afterburn sae diff` as a function.

    Args:
        base: model directory or hub id.
        trained: model directory, adapter or hub id.
        sae: one dictionary or several.
        probe_sets: sets of questions whose prompts are read besides the plain texts (`behaviour.math:40`).
        labels: files that say what features are called.
        packs: risk packs.
        features: look at these alone.
        site: where to read activations, in place of the dictionary's site.
        any_model: use a dictionary though it names another model.
        options: further options of components, by name.
        settings: as of `Diagnoser`: `corpus`, `prompts`, `control`, `seed`, `device`, `run_dir`, …

    Raises:
        ConfigError: a setting or an option is not valid.
        SubjectError: a model or a dictionary cannot be opened.
    """
    from afterburn_core import Diagnoser
    from afterburn_sae.shared_options import sae_options

    named = (probe_sets,) if isinstance(probe_sets, str) else tuple(probe_sets or ())
    plugins = dict.fromkeys(("sae", *(name.partition(".")[0] for name in named if "." in name)))
    return Diagnoser(
        base_model=base,
        trained_model=trained,
        suites=named or None,
        plugins=tuple(plugins),
        options=sae_options(
            options or {},
            dictionaries=_texts(sae),
            labels=_texts(labels) or None,
            packs=_texts(packs) or None,
            features=None if features is None else tuple(int(one) for one in features),
            site=site,
            any_model=any_model,
        ),
        **settings,
    ).run()


def _texts(paths: Paths) -> tuple[str, ...]:
    return (str(paths),) if isinstance(paths, (str, Path)) else tuple(str(path) for path in paths)
