"""Every rule of the weight plugin, in every kind of finding that it can emit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterburn_core.judge.evidence import Evidence
from afterburn_core.result.identity import measure, undefined
from afterburn_core.result.model import Finding, Measurement, Scope, Subject
from afterburn_core.run.naming import scope_of
from afterburn_core.testing.feeding import SUBJECTS
from afterburn_weight.judge import Judge
from afterburn_weight.options import ChangeOptions
from afterburn_weight.places import Places

Q0, Q1 = scope_of("model.layers.0.self_attn.q_proj.weight"), scope_of("model.layers.1.self_attn.q_proj.weight")
EMBED = scope_of("model.embed_tokens.weight")
CALM = {"pass", "informational", "not_applicable"}


def judge(
    measurements: Sequence[Measurement],
    artifact: Mapping[str, Any] | None = None,
    *,
    excerpts: bool = True,
    options: ChangeOptions | None = None,
    subjects: tuple[Subject, ...] = SUBJECTS,
) -> list[Finding]:
    evidence = Evidence(
        subjects=subjects,
        measurements=tuple(measurements),
        read_artifact=lambda identifier: artifact if identifier == "weight.document_differences" else None,
        excerpts=excerpts,
    )
    return list(Judge(options or ChangeOptions())(evidence))


def finding(rule: str, *arguments: Any, **keywords: Any) -> Finding:
    (only,) = [found for found in judge(*arguments, **keywords) if found.rule == f"weight.{rule}"]
    return only


def change(scope: Scope, relative: float | None, fraction: float, norm: float | None = None) -> list[Measurement]:
    whole = measure("weight.delta.norm", (relative or 0.0) if norm is None else norm, scope=scope, n=100)
    size = (
        undefined("weight.delta.relative", "a norm is zero", scope=scope, n=100)
        if relative is None
        else measure("weight.delta.relative", relative, scope=scope, n=100)
    )
    return [whole, size, measure("weight.delta.changed_fraction", fraction, scope=scope, n=100)]


def rounding(ratio: float | None) -> list[Measurement]:
    floors = [measure("weight.rounding.floor", 0.00166, subjects=(side,), n=100) for side in ("base", "trained")]
    if ratio is None:
        return [*floors, undefined("weight.rounding.ratio", "a norm is zero", n=100)]
    return [*floors, measure("weight.rounding.ratio", ratio, n=100)]


def test_no_changed_entry_passes_and_says_so() -> None:
    whole = measure("weight.coverage.unexplained", 0.0, n=200)
    found = finding("change", [*change(Scope(), 0.0, 0.0), *change(Q0, 0.0, 0.0), *change(Q1, 0.0, 0.0), whole])
    assert (found.kind, found.level) == ("pass", "none")
    assert found.message == "No weight differs: all 2 compared tensors are bit-identical"


def test_equal_tensors_beside_ones_that_were_not_compared_stay_open() -> None:
    equal = [*change(Scope(), 0.0, 0.0), *change(Q0, 0.0, 0.0), *change(Q1, 0.0, 0.0)]
    partly = finding("change", [*equal, measure("weight.coverage.unexplained", 0.9, n=2000)])
    assert partly.kind == "open"


def test_a_change_is_told_with_its_size_and_where_it_is_largest() -> None:
    cells = [
        *change(Scope(layer=0, module="q"), 0.01, 0.1),
        *change(Scope(layer=1, module="q"), 0.25, 0.9),
        *change(Scope(layer=1), 0.3, 0.9),
    ]
    tensors = [*change(Q0, 0.01, 0.1), *change(Q1, 0.25, 0.9), *change(EMBED, 0.0, 0.0)]
    found = finding("change", [*change(Scope(), 0.12, 0.4), *tensors, *cells])
    assert (found.kind, found.level) == ("informational", "note")
    assert found.message == (
        "Training changed 2 of 3 tensors and 40 % of the entries: relative change 12 %, most in layer 1 q (25 %)"
    )
    assert found.measurements[2] == "weight.delta.relative/base+trained/layer=1,module=q"


def test_a_tensor_outside_any_layer_can_be_the_largest_change() -> None:
    found = finding("change", [*change(Scope(), 0.1, 0.2), *change(Q0, 0.0, 0.0), *change(EMBED, 0.5, 0.5)])
    assert "most in model.embed_tokens.weight (50 %)" in found.message


def test_a_change_of_values_without_changed_bits_is_told_as_rounding_and_not_as_training() -> None:
    found = finding("change", [*change(Scope(), 1e-3, 0.0), *change(Q0, 1e-3, 0.0), *change(Q1, 0.0, 0.0)])
    assert found.kind == "informational"
    assert found.message.startswith("1 of 2 tensors differ from the base by rounding to another dtype alone")


def test_a_change_of_a_zero_model_has_no_size() -> None:
    found = finding("change", [*change(Scope(), None, 1.0, norm=2.0), *change(Q0, None, 1.0, norm=2.0)])
    assert found.kind == "informational" and "base norm is zero" in found.message


def test_without_any_tensor_the_question_of_change_is_open() -> None:
    assert finding("change", []).kind == "open"
    assert finding("change", change(Scope(), 0.0, 0.0)).kind == "open"


def test_no_difference_among_the_finite_tensors_does_not_pass_when_others_are_broken() -> None:
    note = "left out: 1 of 2 tensors, whose sums are not finite"
    model = [attrs.evolve(m, reason=note) for m in change(Scope(), 0.0, 0.0)]
    found = finding("change", [*model, *change(Q0, 0.0, 0.0)])
    assert found.kind == "open" and note in found.message


def test_losing_the_changed_tensor_does_not_make_the_change_disappear() -> None:
    found = finding("change", [*change(Scope(), 0.1, 0.2), *change(Q0, 0.0, 0.0)])
    assert found.kind == "informational"


@pytest.mark.parametrize(
    ("share", "shown"),
    [(1.0, "100 %"), (0.999999, "99.9999 %"), (1 - 1e-12, "just under 100 %"), (0.5, "50 %"), (1e-5, "0.001 %")],
)
def test_nearly_all_entries_do_not_read_as_all(share: float, shown: str) -> None:
    found = finding("change", [*change(Scope(), 0.1, share), *change(Q0, 0.1, share)])
    assert f"and {shown} of the entries" in found.message


def coverage(whole: float, unexplained: float, *parts: Scope) -> list[Measurement]:
    return [
        measure("weight.coverage", whole, n=1000),
        measure("weight.coverage.unexplained", unexplained, n=1000),
        *(measure("weight.coverage", 0.0, scope=scope, n=10, reason="only the base has it") for scope in parts),
    ]


def test_whole_coverage_passes() -> None:
    found = finding("incomplete_coverage", coverage(1.0, 0.0))
    assert (found.kind, found.message) == ("pass", "All parameters were compared")


def test_unexplained_gaps_are_for_review_with_the_tensors() -> None:
    found = finding("incomplete_coverage", coverage(0.99, 0.01, Q0))
    assert (found.kind, found.level) == ("review", "warning")
    assert found.message == f"1 % of the parameters could not be compared (1 tensor: {Q0.tensor}); coverage is 99 %"
    assert [(e.label, e.note) for e in found.examples] == [(Q0.tensor, "only the base has it")]


def test_rows_of_added_tokens_are_no_gap() -> None:
    found = finding("incomplete_coverage", coverage(0.98, 0.0, EMBED))
    assert found.kind == "pass" and "added or removed tokens" in found.message


def test_coverage_without_parameters_is_open() -> None:
    none = [undefined(m, "there are no parameters", n=0) for m in ("weight.coverage", "weight.coverage.unexplained")]
    assert finding("incomplete_coverage", none).kind == "open"


def test_finite_weights_pass() -> None:
    assert finding("nonfinite_values", [measure("weight.nonfinite", 0, n=10)]).kind == "pass"


def test_every_broken_tensor_of_either_side_fails_by_name() -> None:
    broken = [
        measure("weight.nonfinite", 5, n=10),
        measure("weight.nonfinite", 2, subjects=("trained",), scope=Q0, n=5),
        measure("weight.nonfinite", 3, subjects=("base",), scope=Q0, n=5),
    ]
    found = [f for f in judge(broken) if f.rule == "weight.nonfinite_values"]
    assert {(f.kind, f.level, f.subjects, f.scope) for f in found} == {
        ("fail", "error", ("trained",), Q0),
        ("fail", "error", ("base",), Q0),
    }
    assert f"{Q0.tensor} of the trained model holds 2 NaN or infinite values" in {f.message for f in found}
    assert len({f.fingerprint for f in found}) == 2


def test_broken_values_whose_tensor_is_unknown_still_fail() -> None:
    assert finding("nonfinite_values", [measure("weight.nonfinite", 5, n=10)]).kind == "fail"


def test_values_that_were_not_counted_give_no_finding_on_nonfinite_values() -> None:
    assert not [f for f in judge([]) if f.rule == "weight.nonfinite_values"]


def test_a_change_above_rounding_passes() -> None:
    found = finding("below_rounding", [*rounding(5.4), *change(Scope(), 0.01, 0.8)])
    assert (found.kind, found.message) == ("pass", "The change is 5.4 times the rounding floor of the stored dtype")


def test_a_change_of_the_size_of_rounding_is_for_review() -> None:
    found = finding("below_rounding", [*rounding(0.99), *change(Scope(), 0.001, 0.3)])
    assert (found.kind, found.level) == ("review", "note")
    assert finding("below_rounding", [*rounding(1.0), *change(Scope(), 0.001, 0.3)]).kind == "pass"


def test_the_ratio_that_is_asked_for_is_an_option() -> None:
    options = ChangeOptions(rounding_ratio=10.0)
    assert finding("below_rounding", [*rounding(5.4), *change(Scope(), 0.01, 0.8)], options=options).kind == "review"


def test_a_pure_cast_is_named_as_one() -> None:
    found = finding("below_rounding", [*rounding(1.0), *change(Scope(), 0.00166, 0.0)])
    assert found.kind == "review" and "re-encoded in another dtype" in found.message


def test_a_change_within_quantisation_is_not_told_as_training() -> None:
    steps = [measure("weight.quantisation.ratio", r, scope=s, n=100) for s, r in ((Scope(), 0.98), (Q0, 0.98))]
    tensors = [*change(Scope(), 0.05, 0.8), *change(Q0, 0.05, 0.8), *change(Q1, 0.0, 0.0)]
    found = finding("change", [*tensors, *steps])
    assert found.kind == "informational"
    assert found.message.startswith("1 of 2 tensors differ by no more than quantisation steps explain: ")
    assert "weight.quantisation.ratio/base+trained/model" in found.measurements
    # a norm beside it that was trained
    mixed = finding("change", [*tensors, *steps, *change(EMBED, 0.01, 0.9)])
    assert mixed.message.startswith("1 of 3 tensors changed by more than quantisation steps explain, 1 by no more: ")
    # a quantised tensor beyond its steps
    beyond = [measure("weight.quantisation.ratio", 1.5, scope=Q0, n=100)]
    assert finding("change", [*tensors, *beyond]).message.startswith(
        "1 of 2 tensors changed by more than quantisation steps explain: "
    )


def stored(*roles: str, adapter: bool = False) -> tuple[Subject, ...]:
    properties = {"quantisation": [{"method": "bitsandbytes", "code": "nf4"}]}
    return tuple(
        attrs.evolve(
            s,
            properties=properties if s.role in roles else {},
            kind="adapter" if adapter and s.role == "trained" else s.kind,
        )
        for s in SUBJECTS
    )


@pytest.mark.parametrize(("ratio", "kind"), [(0.97, "review"), (1.05, "review"), (1.3, "pass")])
def test_a_quantised_copy_is_set_against_its_steps(ratio: float, kind: str) -> None:
    """Steps foretell an error less exactly than ulps, so that 1.05 times them is nothing more."""
    found = finding("below_rounding", [*rounding(ratio), *change(Scope(), 0.05, 0.8)], subjects=stored("trained"))
    assert found.kind == kind
    assert found.message.startswith(f"The change is {ratio:.2g} times what rounding to the codes of the trained model")


def test_the_errors_of_two_quantised_sides_add_up() -> None:
    """√2 times the floor of either is once the floor of both."""
    both = stored("base", "trained")
    found = finding("below_rounding", [*rounding(1.5), *change(Scope(), 0.05, 0.8)], subjects=both)
    assert (found.kind, "1.1 times" in found.message, "both models" in found.message) == ("review", True, True)
    without = [m for m in rounding(1.5) if m.subjects != ("base",)]
    assert finding("below_rounding", [*without, *change(Scope(), 0.05, 0.8)], subjects=both).kind == "open"


def test_an_adapter_loses_nothing_to_the_steps_of_its_base() -> None:
    numbers = [*rounding(0.005), *change(Scope(), 3e-4, 0.8)]
    found = finding("below_rounding", numbers, subjects=stored("base", "trained", adapter=True))
    assert found.kind == "pass" and "take nothing from it" in found.message


def test_a_small_adapter_is_exact_until_it_is_merged() -> None:
    numbers = [*rounding(0.2), *change(Scope(), 3e-4, 0.1)]
    found = finding("below_rounding", numbers, subjects=stored(adapter=True))
    assert found.kind == "review" and found.message.endswith("exact while it is apart, much of it lost in a merge")
    assert finding("below_rounding", [*rounding(3.0), *numbers[3:]], subjects=stored(adapter=True)).kind == "pass"


def test_no_change_is_not_near_rounding() -> None:
    assert finding("below_rounding", [*rounding(0.0), *change(Scope(), 0.0, 0.0)]).kind == "pass"


def test_rounding_of_a_zero_model_is_open() -> None:
    assert finding("below_rounding", rounding(None)).kind == "open"


DOCUMENTS = ("config", "generation_config", "tokenizer", "chat_template", "vocabulary")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_equal_documents_pass(name: str) -> None:
    assert finding(f"{name}_change", [measure(f"weight.{name}.changed", 0, n=9)]).kind == "pass"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_neither_side_has_is_not_applicable(name: str) -> None:
    missing = undefined(f"weight.{name}.changed", "neither checkpoint has one", n=0)
    found = finding(f"{name}_change", [missing])
    assert found.kind == "not_applicable" and "neither checkpoint has one" in found.message


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_that_was_not_measured_is_open(name: str) -> None:
    assert finding(f"{name}_change", []).kind == "open"


@pytest.mark.parametrize("name", ["generation_config", "tokenizer", "chat_template"])
def test_changes_that_alter_behaviour_by_themselves_are_for_review(name: str) -> None:
    artifact = {name: [{"key": "default", "base": "a", "trained": "b"}]}
    found = finding(f"{name}_change", [measure(f"weight.{name}.changed", 1, n=9)], artifact)
    assert (found.kind, found.level) == ("review", "warning")
    assert [(e.label, e.base, e.trained) for e in found.examples] == [("default", "a", "b")]
    assert found.artifacts == ("weight.document_differences",)


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("rope_theta", "review"),
        ("rope_scaling.factor", "review"),
        ("text_config.rope_parameters.rope_theta", "review"),
        ("eos_token_id", "review"),
        ("pad_token_id", "review"),
        ("rms_norm_eps", "review"),
        ("sliding_window", "review"),
        ("num_hidden_layers", "review"),
        ("architectures", "review"),
        ("tie_word_embeddings", "review"),
        ("use_cache", "informational"),
        ("task_specific_params", "informational"),
        ("vocab_size", "informational"),
    ],
)
def test_configuration_keys_that_decide_what_is_computed_are_for_review(key: str, kind: str) -> None:
    artifact = {"config": [{"key": "bos", "base": 1, "trained": 2}, {"key": key, "base": 1, "trained": 2}]}
    found = finding("config_change", [measure("weight.config.changed", 2, n=30)], artifact)
    assert found.kind == kind
    assert found.message == f"2 configuration keys changed: bos, {key}"


def test_configuration_differences_that_cannot_be_read_are_taken_as_serious() -> None:
    assert finding("config_change", [measure("weight.config.changed", 1, n=30)]).kind == "review"


def test_tokens_are_a_note_whatever_they_spell() -> None:
    artifact = {"vocabulary": [{"key": "hidden", "trained": 7}, {"key": "rope", "base": 1, "trained": 2}]}
    found = finding("vocabulary_change", [measure("weight.vocabulary.changed", 2, n=30)], artifact)
    assert (found.kind, found.level, found.message) == ("informational", "note", "2 tokens changed")
    assert found.examples[0].note == "only in trained"


def test_without_excerpts_texts_are_digests() -> None:
    artifact = {"chat_template": [{"key": "default", "base": "secret", "trained": "other"}]}
    found = finding("chat_template_change", [measure("weight.chat_template.changed", 1, n=1)], artifact, excerpts=False)
    assert found.examples[0].base == (
        "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b (6 characters)"
    )
    assert "secret" not in json.dumps(attrs.asdict(found))


def test_long_texts_are_cut_with_their_length() -> None:
    artifact = {"chat_template": [{"key": "default", "base": "x" * 1000, "trained": "y"}]}
    found = finding("chat_template_change", [measure("weight.chat_template.changed", 1, n=1)], artifact)
    assert found.examples[0].base == f"{'x' * 300}… (1000 characters)"


def test_only_so_many_examples_are_shown() -> None:
    artifact = {"vocabulary": [{"key": f"t{i}", "trained": i} for i in range(100)]}
    measured = [measure("weight.vocabulary.changed", 100, n=100)]
    assert len(finding("vocabulary_change", measured, artifact).examples) == 20
    assert len(finding("vocabulary_change", measured, artifact, options=ChangeOptions(examples=3)).examples) == 3


ALARMING = (
    *change(Scope(), 1e-3, 0.2),
    *change(Q0, 1e-3, 0.2),
    *change(Q1, 0.0, 0.0),
    *change(Scope(layer=0, module="q"), 1e-3, 0.2),
    *coverage(0.9, 0.1, Q1),
    measure("weight.nonfinite", 2, n=10),
    measure("weight.nonfinite", 2, subjects=("trained",), scope=Q1, n=5),
    *rounding(0.5),
    *(measure(f"weight.{name}.changed", 1, n=9) for name in DOCUMENTS),
)
ARTIFACT = {name: [{"key": "rope_theta", "base": 1, "trained": 2}] for name in DOCUMENTS}


@given(st.sets(st.integers(0, len(ALARMING) - 1)), st.booleans())
def test_losing_evidence_never_calms_a_rule(lost: set[int], lose_artifact: bool) -> None:
    """A rule that alarmed may fall silent, which the core takes as open, but says nothing calm on less evidence."""
    before = {f.rule for f in judge(ALARMING, ARTIFACT) if f.kind not in CALM}
    left = [m for number, m in enumerate(ALARMING) if number not in lost]
    for found in judge(left, None if lose_artifact else ARTIFACT):
        assert found.rule not in before or found.kind not in CALM, found


def test_the_same_evidence_gives_the_same_findings_in_any_order() -> None:
    forth = judge(ALARMING, ARTIFACT)
    back = judge(ALARMING[::-1], ARTIFACT)
    assert sorted(map(_key, forth)) == sorted(map(_key, back))


def _key(found: Finding) -> tuple[str, str, str]:
    return found.rule, found.kind, found.message


def place(rule: str, measurements: Sequence[Measurement], subjects: tuple[Subject, ...] = SUBJECTS) -> Finding:
    evidence = Evidence(subjects=subjects, measurements=tuple(measurements))
    (only,) = [found for found in Places()(evidence) if found.rule == f"weight.{rule}"]
    return only


def test_rows_that_a_cast_rounded_are_no_tokens_that_moved() -> None:
    rows = [
        measure("weight.embeddings.concentration", 0.005, scope=EMBED, n=512),
        measure("weight.embeddings.relative_max", 1e-4, scope=EMBED, n=512),
    ]
    assert place("embedding_rows", [*rows, *change(EMBED, 1e-5, 0.3)]).kind == "review"
    found = place("embedding_rows", [*rows, *change(EMBED, 1e-5, 0.0)])
    assert (found.kind, "rounding to another dtype" in found.message) == ("pass", True)
    # an adapter is not stored in that dtype: what a merge would round away still moved
    assert place("embedding_rows", [*rows, *change(EMBED, 1e-5, 0.0)], stored(adapter=True)).kind == "review"


def test_heads_that_stand_out_of_quantisation_are_told_with_it() -> None:
    one = measure("weight.heads.outliers", 1, n=8)
    steps = measure("weight.quantisation.ratio", 0.98, n=100)
    assert place("head_outliers", [one]).message == "1 head stands out of its layer's change"
    within = place("head_outliers", [one, steps]).message
    assert within.endswith("changed by no more than quantisation steps explain")
    beyond = attrs.evolve(steps, value=1.4)
    assert "quantisation" not in place("head_outliers", [one, beyond]).message
