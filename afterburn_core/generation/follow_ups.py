"""Follow-ups: the user's further turns, each asked with all that was said before, the model's own answers included.

All conversations take their second turn, then all their third: as many texts side by side as in the first turn, and
equal ones in any company. The seed of an answer is a child of the seed of the answer before it, so that it hangs on
nothing else in the run. The answers of one turn are one list of requests to the cache; a run that was
killed finds the same list again, since the answers before it are kept as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from afterburn_core.generation.answering import Answered, Keeping, answer
from afterburn_core.generation.model import Generator, Request, Sample
from afterburn_core.probes.model import Message, Probe
from afterburn_core.run.seeds import child_seed


def converse(
    requests: Sequence[Request],
    probes: Iterable[Probe],
    generator: Generator,
    keeping: Keeping | None,
    advance: Callable[[int], None],
) -> Answered:
    """Answers to all requests, then to the follow-ups of their probes, turn by turn.

    A conversation ends early where an answer failed (`finish` is `error`), or where it no longer fits the model's
    context; the sample has the label `follow_ups_without_room` then, the number of follow-ups left unasked. Samples
    that came with their replies, as recorded ones do, are left as they are.

    Args:
        requests: the first turns.
        probes: of these requests.
        generator: of the subject.
        keeping: the cache; `None` for none.
        advance: called with the number of answers just finished.

    Raises:
        SubjectError: the generator answered what nobody asked, or cannot answer.
    """
    first = answer(requests, generator, keeping, advance)
    turns = {probe.id: probe.follow_ups for probe in probes if probe.follow_ups}
    going = [request for request in requests if request.probe in turns]
    if first.interrupted or not going:
        return first
    samples = dict(first.answers)
    from_cache, without_room, interrupted = first.from_cache, 0, False
    for turn in range(max(len(turns[request.probe]) for request in going)):
        asked = [
            _next(request, samples[_key(request)], turns[request.probe][turn])
            for request in going
            if turn < len(turns[request.probe]) and _goes_on(samples.get(_key(request)), turn)
        ]
        unfit = _without_room(asked, generator)
        for key in unfit:
            left = len(turns[key[0]]) - turn
            without_room += left
            labels = {**samples[key].labels, "follow_ups_without_room": left}
            samples[key] = attrs.evolve(samples[key], labels=labels)
        going = [request for request in asked if _key(request) not in unfit]
        if not going:
            break
        answered = answer(going, generator, keeping, advance)
        for key, reply in answered.answers.items():
            samples[key] = _with_reply(samples[key], reply)
        from_cache += answered.from_cache
        if answered.interrupted:
            interrupted = True
            break
    note = f"{without_room} follow-ups do not fit and were not asked" if without_room else None
    return Answered(answers=samples, from_cache=from_cache, interrupted=interrupted, note=note)


def _key(request: Request) -> tuple[str, int]:
    return request.probe, request.index


def _goes_on(sample: Sample | None, turn: int) -> bool:
    """Whether every turn before was answered."""
    if sample is None or len(sample.replies) != turn:
        return False
    return (sample.reply_finishes[-1] if sample.replies else sample.finish) != "error"


def _next(request: Request, sample: Sample, follow_up: str) -> Request:
    said = sample.replies[-1] if sample.replies else sample.text
    return attrs.evolve(
        request,
        messages=(
            *request.messages,
            Message(role="assistant", content=said),
            Message(role="user", content=follow_up),
        ),
        seed=child_seed(request.seed, "follow_up"),
        choices=(),
        turn=request.turn + 1,
    )


def _with_reply(sample: Sample, reply: Sample) -> Sample:
    return attrs.evolve(
        sample,
        replies=(*sample.replies, reply.text),
        reply_tokens=(*sample.reply_tokens, reply.tokens),
        reply_finishes=(*sample.reply_finishes, reply.finish),
    )


def _without_room(requests: Sequence[Request], generator: Generator) -> frozenset[tuple[str, int]]:
    """Conversations that fill the model's context. One sample at a time: a generator tells them by probe."""
    find: Callable[[Sequence[Request]], Mapping[str, str]] | None = getattr(generator, "unfit", None)
    if find is None:
        return frozenset()
    found = set()
    for index in sorted({request.index for request in requests}):
        unfit = find([request for request in requests if request.index == index])
        found |= {(probe, index) for probe in unfit}
    return frozenset(found)
