"""The Python API: `Diagnoser(...).run()` gives a `DiagnosticReport`."""

from __future__ import annotations

import html as html_escape
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from afterburn_core.errors import ConfigError, PluginError
from afterburn_core.plugin.registry import Registry
from afterburn_core.report.writing import render_report
from afterburn_core.result import codec
from afterburn_core.result.model import Finding, Measurement, Result, Verdict
from afterburn_core.result.view import ResultView
from afterburn_core.run.configuration import Settings, load_settings, with_suites
from afterburn_core.run.directory import directory_of, result_path

if TYPE_CHECKING:
    import pandas

    from afterburn_core.report.sae_answers import DriftHeatmap, DriftRow, Measure, RiskyFeatures
    from afterburn_core.run.progress import Progress

_RISK = "reward_hack.risk"


class DiagnosticReport:
    """A result with the questions people ask of it."""

    def __init__(self, result: Result, directory: Path, registry: Registry | None = None) -> None:
        """
        Args:
            result: the document.
            directory: the run directory, where its artifacts are.
            registry: where reporters are looked up; discovered when first needed.
        """
        self.result = result
        self.directory = directory
        self._registry = registry
        self._view = ResultView(result, directory)

    @property
    def verdict(self) -> Verdict:
        """Pass, fail or incomplete, with reasons."""
        return self.result.verdict

    @property
    def summary(self) -> str:
        """The answer in a few lines: verdict, then every finding that is not a pass."""
        lines = [self.verdict.summary]
        lines += [f"- [{f.kind}] {f.message}" for f in self.findings if f.kind not in {"pass", "not_applicable"}]
        return "\n".join(lines)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, by rule."""
        return self.result.findings

    @property
    def hack_score(self) -> float | None:
        """`reward_hack.risk` (0 to 100), or `None` where it was not measured or a rule it rests on is open.

        `reward_hack.risk.known` and `reward_hack.risk.worst` bound it in either case.
        """
        return next((m.value for m in self.measurements(_RISK) if m.scope.key() == "model"), None)

    def measurements(self, metric: str | None = None) -> tuple[Measurement, ...]:
        """All measurements of a metric, or of all metrics; those in table artifacts included.

        Raises:
            ConfigError: the metric is not described in this result.
        """
        if metric is not None and self._view.metric(metric) is None and metric != _RISK:
            from afterburn_core.plugin.registry import suggestion

            known = [descriptor.id for descriptor in self.result.descriptors.metrics]
            raise ConfigError(f"no metric {metric!r} in this result{suggestion(metric, known)}")
        return tuple(self._view.measurements(metric))

    def to_pandas(self) -> pandas.DataFrame:
        """One row per measurement: id, metric, subjects, scope columns, status, value, n, interval.

        Raises:
            PluginError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise PluginError("to_pandas needs pandas; pip install pandas") from error
        rows = [
            {
                "id": m.id,
                "metric": m.metric,
                "subjects": "+".join(m.subjects),
                "tensor": m.scope.tensor,
                "layer": m.scope.layer,
                "module": m.scope.module,
                "site": m.scope.site,
                "head": m.scope.head,
                "token": m.scope.token,
                "input": m.scope.input,
                "subset": m.scope.subset,
                "status": m.status,
                "value": m.value,
                "n": m.n,
                "low": m.interval.low if m.interval else None,
                "high": m.interval.high if m.interval else None,
                "reason": m.reason,
            }
            for m in self.measurements()
        ]
        return pandas.DataFrame(rows)

    @overload
    def drift_heatmap(self, layer: None = None, *, measure: Measure = "dense") -> DriftHeatmap: ...

    @overload
    def drift_heatmap(self, layer: int | str, *, measure: Measure = "dense") -> DriftRow: ...

    def drift_heatmap(self, layer: int | str | None = None, *, measure: Measure = "dense") -> DriftRow | DriftHeatmap:
        """How far a layer, or every layer, moved on the domains' prompts: `sets`, `values`, `intervals`.

        Args:
            layer: number of a block or name of a site; `None` for all.
            measure: `dense` (mean activations), or at a dictionary's site `features` (mean codes) or `mass` (their
                sum of absolute changes).

        Raises:
            ConfigError: the run measured no such drift; a dictionary has to be named.
        """
        from afterburn_core.report.sae_answers import drift_heatmap

        return drift_heatmap(self._view, layer, measure)

    def risky_features(self, topk: int = 5) -> RiskyFeatures:
        """The features and directions of risk packs that moved furthest towards concern, with signed multiples.

        Raises:
            ConfigError: the run read no risk pack.
        """
        from afterburn_core.report.sae_answers import risky_features

        return risky_features(self._view, topk)

    def save(self, path: str | Path) -> Path:
        """Writes a report; the suffix picks the reporter.

        Raises:
            ConfigError: no reporter has that suffix, or the file cannot be written.
        """
        self._registry = self._registry or Registry.discover()
        return render_report(self._view, Path(path), self._registry)

    def _repr_html_(self) -> str:
        """How a notebook shows it: verdict and findings, without scripts."""
        rows = "".join(
            f"<tr><td>{html_escape.escape(f.kind)}</td><td>{html_escape.escape(f.level)}</td>"
            f"<td><code>{html_escape.escape(f.rule)}</code></td><td>{html_escape.escape(f.message)}</td></tr>"
            for f in self.findings
        )
        head = "<tr><th>kind</th><th>level</th><th>rule</th><th>message</th></tr>"
        return f"<p><b>{html_escape.escape(self.verdict.summary)}</b></p><table>{head}{rows}</table>"

    def __repr__(self) -> str:
        return f"<DiagnosticReport {self.verdict.status}: {len(self.findings)} findings in {self.directory.name}>"


class Diagnoser:
    """Compares a base model with a trained one.

    Example:
        >>> report = Diagnoser(base_model="llama", trained_model="llama-sft", method="sft").run()  # doctest: +SKIP
        >>> report.verdict.status  # doctest: +SKIP
        'pass'
    """

    def __init__(
        self,
        base_model: str | Path | None = None,
        trained_model: str | Path | None = None,
        *,
        method: str | None = None,
        preset: str | None = None,
        config_path: str | Path | None = None,
        plugins: str | Iterable[str] | None = None,
        backend: str | None = None,
        device: str | None = None,
        threads: int | None = None,
        seed: int | None = None,
        run_dir: str | Path | None = None,
        cache_dir: str | Path | None = None,
        use_cache: bool | None = None,
        policy: str | Path | None = None,
        strict: bool | None = None,
        excerpts: bool | None = None,
        suites: str | Iterable[str] | None = None,
        prompts: str | Path | Iterable[str | Path] | None = None,
        corpus: str | Path | Iterable[str | Path] | None = None,
        answers: str | Path | None = None,
        samples: int | None = None,
        max_new_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        template: str | None = None,
        dtype: str | None = None,
        batch_size: int | None = None,
        judge: str | Path | None = None,
        reward: str | Path | None = None,
        gold: str | Path | None = None,
        control: str | Path | Iterable[str | Path] | None = None,
        allow_code_execution: bool | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Arguments are those of `afterburn diagnose`; what is left out comes from `.afterburn.yaml` or defaults.

        Raises:
            ConfigError: an argument or a key of the configuration is not valid.
        """
        flags = {
            "base": _text(base_model),
            "trained": _text(trained_model),
            "method": method,
            "preset": preset,
            "plugins": _texts(plugins),
            "backend": backend,
            "device": device,
            "threads": threads,
            "seed": seed,
            "run_dir": _text(run_dir),
            "cache_dir": _text(cache_dir),
            "cache": use_cache,
            "policy": _text(policy),
            "strict": strict,
            "excerpts": excerpts,
            "suite": _texts(suites),
            "prompts": _texts(prompts),
            "corpus": _texts(corpus),
            "answers": _text(answers),
            "samples": samples,
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "template": template,
            "dtype": dtype,
            "batch_size": batch_size,
            "judge": _text(judge),
            "reward": _text(reward),
            "gold": _text(gold),
            "control": _texts(control),
            "allow_code_execution": allow_code_execution,
            "options": None if options is None else {name: dict(values) for name, values in options.items()},
        }
        self._load = partial(load_settings, Path(config_path) if config_path else None, flags)
        self.settings: Settings = self._load()
        self._progress = progress

    def run(self) -> DiagnosticReport:
        """Every installed plugin that the settings allow."""
        return self._run("diagnose", self.settings.plugins)

    def run_weight_diff(self) -> DiagnosticReport:
        """The weight plugin alone."""
        return self._run("weight-diff", ("weight",))

    def run_behaviour(self) -> DiagnosticReport:
        """The behaviour plugin alone.

        Raises:
            ConfigError: it is not installed.
        """
        return self._run("behaviour", with_suites(("behaviour",), self.settings))

    def run_activations(self) -> DiagnosticReport:
        """The activation plugin alone.

        Raises:
            ConfigError: it is not installed.
        """
        return self._run("activations", with_suites(("activation",), self.settings))

    def run_hack_check(self) -> DiagnosticReport:
        """The reward-hack detectors with the behaviour measurements they rest on; the preset is full unless one is set.

        Raises:
            ConfigError: they are not installed.
        """
        settings = self._load(defaults={"preset": "full"})
        return self._run("hack-check", with_suites(("behaviour", "reward_hack"), settings), settings)

    def _run(self, command: str, plugins: tuple[str, ...] | None, settings: Settings | None = None) -> DiagnosticReport:
        from afterburn_core.run.backend_choice import with_backend
        from afterburn_core.run.diagnose import diagnose

        chosen = settings or self.settings
        registry = Registry.discover(only=with_backend(plugins, chosen.backend), strict=chosen.strict)
        done = diagnose(chosen, registry, command=command, progress=self._progress)
        return DiagnosticReport(done.result, done.directory, registry)


def load_report(run: str | Path) -> DiagnosticReport:
    """A finished run by its directory or `result.json`; needs no model and no torch.

    Raises:
        ConfigError: there is no result.
        SchemaError: it is not valid.
    """
    path = result_path(Path(run))
    return DiagnosticReport(codec.read(path), directory_of(path))


def _texts(values: str | Path | Iterable[str | Path] | None) -> tuple[str, ...] | None:
    """One name or several; a text alone is one name, not its letters."""
    if isinstance(values, (str, Path)):
        return (str(values),)
    return None if values is None else tuple(str(value) for value in values)


def _text(value: str | Path | None) -> str | None:
    return None if value is None else str(value)
