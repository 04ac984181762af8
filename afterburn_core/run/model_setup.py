"""The passes of a run on which models run, put together from its settings and its plan."""

from __future__ import annotations

from pathlib import Path

from afterburn_core.forward.forward_pass import ForwardPass
from afterburn_core.generation.generation_pass import GenerationPass
from afterburn_core.generation.judging import Judge, open_judge
from afterburn_core.generation.model import Serving
from afterburn_core.generation.scoring import open_scorers
from afterburn_core.plugin.registry import Registry
from afterburn_core.result.model import Subject
from afterburn_core.run.cache import default_cache_dir
from afterburn_core.run.configuration import Settings
from afterburn_core.run.executor import available_cores
from afterburn_core.run.model_passes import ModelPasses
from afterburn_core.run.needs import ForwardNeed, GenerationNeed
from afterburn_core.run.opening import Opened
from afterburn_core.run.progress import Progress
from afterburn_core.run.provenance import decoding_of
from afterburn_core.run.seeds import child_seed
from afterburn_core.run.workload import MODELS_RUN


def generation_of(settings: Settings, opened: Opened, device: str, progress: Progress) -> GenerationPass | None:
    """What is asked of the subjects; `None` where nobody writes."""
    need = next((p.need for p in opened.plan.passes if isinstance(p.need, GenerationNeed)), None)
    if need is None:
        return None
    root = Path(settings.cache_dir) if settings.cache_dir else default_cache_dir()
    serving = Serving(device=device, dtype=settings.dtype, batch=settings.batch_size)
    cache = root if settings.cache else None
    return GenerationPass(
        asking=opened.asking,
        decoding=decoding_of(settings),
        serving=serving,
        seed=settings.seed,
        choices=need.choices,
        cache=cache,
        progress=progress,
        allow_code_execution=settings.allow_code_execution,
        scoring=open_scorers(
            {"reward": settings.reward, "gold": settings.gold}, serving=serving, cache=cache, progress=progress
        ),
    )


def models_of(
    settings: Settings, opened: Opened, generation: GenerationPass | None, device: str, progress: Progress
) -> ModelPasses | None:
    """The passes on which models run; `None` where the plan has none."""
    if not any(planned.kind in MODELS_RUN for planned in opened.plan.passes):
        return None
    need = next((p.need for p in opened.plan.passes if isinstance(p.need, ForwardNeed)), None)
    sources = need.sources if need is not None else ()
    return ModelPasses(
        generation=generation,
        forward=ForwardPass(
            serving=Serving(device=device, dtype=settings.dtype, batch=settings.batch_size),
            template=settings.template,
            seed=child_seed(settings.seed, "core.forward_pass"),
            progress=progress,
            devices=_devices(device, settings.threads or available_cores()),
        ),
        gather=lambda responses: opened.material.passages(sources, settings, opened.asking, responses),
        texts=opened.material.encoded,
        remarks=opened.material.remarks(),
        excerpts=settings.excerpts,
    )


def _devices(device: str, workers: int) -> tuple[str, ...]:
    """Where the forward pass has readers: on every GPU, where the run has no particular one and analyzers for each."""
    if device != "cuda":
        return (device,)
    import torch

    return tuple(f"cuda:{number}" for number in range(max(1, min(torch.cuda.device_count(), workers))))


def judge_of(
    settings: Settings,
    registry: Registry,
    subjects: tuple[Subject, ...],
    generation: GenerationPass | None,
    threads: int,
) -> Judge | None:
    """The third model that compares answers; `None` where none is named."""
    if settings.judge is None or generation is None:
        return None
    return open_judge(
        settings.judge,
        registry,
        subjects,
        serving=generation.serving,
        cache=generation.cache,
        seed=settings.seed,
        threads=threads,
        progress=generation.progress,
    )
