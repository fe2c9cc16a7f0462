"""What an explanation says: the axes apart, the law behind a rule, the label's derivation, and the way out."""

from dataclasses import replace
from datetime import date, datetime

import pytest

from greylag.domain.stages import Stage
from greylag.governance.explanation import Explanation, as_json, as_text, explain, matrix, one_line
from greylag.governance.explanation.evidence import describe
from greylag.governance.facts import Certification, Mechanism, Processor, TargetFact
from greylag.governance.policy import CedarPolicy
from greylag.governance.question import Question
from tests.support.lawbook import OWN, TODAY, ask, opened, policy_of, shipped_book, shipped_packs

EMAIL = {"classes": ("user.contact.email",), "origins": ("DE",)}


def explained(policy: CedarPolicy, question: Question) -> Explanation:
    return explain(policy, question)


def vendor(name: str = "vendor-eu", **more: object) -> TargetFact:
    """Return an endpoint of a US company that works in Germany and is looked at from the US."""
    target = TargetFact(
        "endpoint", name, ("DE",), ("DE",), ("US",), ("DE",), "Vendor GmbH", True, False, "internal", OWN,
        retention_days=0, weights_from=("US",),
    )  # fmt: skip
    return replace(target, **more)  # type: ignore[arg-type]  # fields by name


COMPANY = (
    Processor("Vendor GmbH", "Vendor GmbH", "DE", OWN, parents=("Vendor Inc.",), operates_in=("DE",)),
    Processor("Vendor Inc.", "Vendor Inc.", "US", OWN, operates_in=("US",)),
)


def test_the_axes_are_never_one_region() -> None:
    policy = policy_of(shipped_book().replaced(vendor(), *COMPANY))
    told = explained(policy, ask("prompt", "endpoint", "vendor-eu", **EMAIL))
    axes = {axis.name: axis.codes for axis in told.target.axes}
    assert axes["residency"] == ("DE",)
    assert axes["support"] == ("US",)
    assert axes["reach"] == ("DE", "US")
    assert axes["control"] == ("DE", "US")
    assert axes["provenance"] == ("US",)
    assert told.target.control == (("DE", "seat of Vendor GmbH"), ("US", "seat of Vendor Inc."))


def test_an_eu_endpoint_supported_from_the_us_leaves_the_eu() -> None:
    policy = policy_of(shipped_book().replaced(vendor(), *COMPANY), "house-one-region", "eu-gdpr")
    told = explained(policy, ask("prompt", "endpoint", "vendor-eu", applied=("pseudonymise",), **EMAIL))
    assert not told.verdict.permitted
    (regime,) = told.label.regimes
    assert (regime.name, regime.leaves, regime.uncovered, regime.spoken_for) == ("eu-gdpr", True, ("US",), True)
    assert (regime.classes, regime.origins) == (("user.contact.email",), ("DE",))
    kinds = {change.kind for flip in told.flips for change in flip.changes}
    assert {"mechanism", "certification", "reach"} <= kinds
    rule = next(rule for rule in told.rules if rule.pack == "eu-gdpr")
    assert rule.laws
    assert all(row.status and row.source and row.certainty for row in rule.laws)


def test_a_mechanism_without_its_assessment_lacks_just_that() -> None:
    scc = Mechanism("vendor-scc", "scc", "eu-gdpr", "Vendor GmbH", ("US",), OWN)
    policy = policy_of(shipped_book().replaced(vendor(), *COMPANY, scc), "house-one-region", "eu-gdpr")
    told = explained(policy, ask("prompt", "endpoint", "vendor-eu", applied=("pseudonymise",), **EMAIL))
    assert not told.verdict.permitted
    assert told.flips[0].changes[0].kind == "class"
    assert any("`mechanism/vendor-scc`" in flip.words and len(flip.changes) == 1 for flip in told.flips)


def test_what_a_permit_hangs_by() -> None:
    """Taking the challenged framework away closes what rests on it, and that is named first of all rows."""
    dpf = (Certification(company.name, "dpf", OWN) for company in COMPANY)
    policy = policy_of(shipped_book().replaced(vendor(), *COMPANY, *dpf), "house-one-region", "eu-gdpr")
    told = explained(policy, ask("prompt", "endpoint", "vendor-eu", applied=("pseudonymise",), **EMAIL))
    assert told.verdict.permitted, as_text(told)
    assert told.remedies == ()
    words = [flip.words for flip in told.flips]
    assert words[0] == "`adequacy/eu-us-dpf` is annulled"
    assert "`pseudonymise` is not done" in words
    assert "Would be no if" in one_line(told)


def test_uk_raw_transactions_leave_once_they_are_figures() -> None:
    book = opened(("endpoint", "bedrock-eu-central-1", "internal"))
    policy = policy_of(book, "house-one-region", "uk-finance-raw-stays")
    question = ask("prompt", "endpoint", "bedrock-eu-central-1", classes=("finance.transaction",), origins=("GB",))
    told = explained(policy, question)
    assert "uk-raw-transactions-stay" in told.verdict.rules
    aggregate = next(flip for flip in told.flips if any("`aggregate`" in each.words for each in flip.changes))
    assert (
        policy_of(book.replaced(*aggregate.rows), "house-one-region", "uk-finance-raw-stays")
        .decide(aggregate.question)
        .permitted
    )


def test_alternatives_are_ranked_home_first() -> None:
    book = opened(("endpoint", "openai-eu", "public"), ("endpoint", "mistral-eu", "internal"))
    near = vendor("second-own", processor="", processing=("local",), storage=("local",), support=("local",),
                  control_plane=("local",), price_permille=1)  # fmt: skip
    told = explained(policy_of(book.replaced(near), "house-one-region"), ask("prompt", "endpoint", "openai-eu"))
    assert [each.name for each in told.alternatives][:2] == ["second-own", "own-model"]
    assert [each.tier for each in told.alternatives[:2]] == ["home", "home"]
    assert told.no_alternative == ""
    assert told.remedies[0].kind == "alternative"


def test_where_no_other_target_will_do_the_reason_is_given() -> None:
    policy = policy_of(shipped_book())
    chat = explained(policy, ask("chat", "chat", "slack", "confidential"))
    assert chat.no_alternative == "one chat can't stand in for another"
    endpoint = explained(policy, ask("prompt", "endpoint", "openai", "restricted", classes=("secret",)))
    assert "none is permitted" in endpoint.no_alternative
    assert "not opened by the operator" in endpoint.no_alternative
    assert chat.remedies
    assert endpoint.remedies


def test_an_unconfigured_install_says_what_to_set() -> None:
    told = explained(policy_of(shipped_book("unknown")), ask("prompt", "endpoint", "openai-eu", "public"))
    assert not told.verdict.permitted
    words = " ".join(flip.words for flip in told.flips)
    assert "set `jurisdiction`" in words
    assert "greylag facts open endpoint openai-eu --level public" in words


def test_a_regime_that_no_pack_speaks_for_is_said() -> None:
    told = explained(policy_of(opened(("endpoint", "anthropic", "internal")), "house-one-region"),
                     ask("prompt", "endpoint", "anthropic", **EMAIL))  # fmt: skip
    assert "regime-without-pack" in told.verdict.rules
    guard = next(rule for rule in told.rules if rule.rule_id == "regime-without-pack")
    assert guard.pack == "platform"
    assert [regime.spoken_for for regime in told.label.regimes] == [False]


def test_an_unknown_target_has_no_axes() -> None:
    told = explained(policy_of(shipped_book()), ask("prompt", "endpoint", "</b>never seen", "public"))
    assert not told.target.known
    assert told.target.axes == ()
    assert "nothing is known of endpoint '</b>never seen'" in as_text(told)


@pytest.mark.parametrize(
    "change",
    [
        {"principal": "root"},
        {"action": ""},
        {"stage": "teleport"},
        {"at": datetime(2026, 11, 23)},  # noqa: DTZ001 - a naive time is the defect
    ],
)
def test_a_question_that_is_none_is_explained_as_a_refusal(change: dict[str, object]) -> None:
    question = replace(ask("prompt", "endpoint", "anthropic"), **change)  # type: ignore[arg-type]  # the defect
    told = explained(policy_of(shipped_book()), question)
    assert not told.verdict.permitted
    assert told.verdict.errors
    assert told.remedies
    assert "could not be evaluated" in as_text(told)
    assert as_json(told)["no_alternative"]


def test_hostile_names_stay_on_their_line() -> None:
    question = ask("prompt", "endpoint", "x\n\x1b[31m\u202eDENIED", asset="p\nq", principal="agent:a\nb")
    told = explained(policy_of(shipped_book()), question)
    assert "\n" not in one_line(told)
    assert "\x1b" not in as_text(told).splitlines()[0]


def test_a_stale_row_is_called_stale() -> None:
    late = replace(ask("prompt", "endpoint", "anthropic"), at=datetime.fromisoformat("2035-01-01T00:00:00+00:00"))
    told = explained(policy_of(opened(("endpoint", "anthropic", "internal"))), late)
    assert any(row.stale for row in told.facts)
    assert "STALE" in as_text(told)
    assert told.day == date(2035, 1, 1)


def test_every_shipped_row_can_be_said_in_one_line() -> None:
    lines = [describe(row) for row in shipped_book().rows]
    assert all(line and "\n" not in line for line in lines)


def test_the_matrix_has_twelve_stages_and_every_rule() -> None:
    rows = matrix(shipped_packs())
    assert [row.stage for row in rows] == list(Stage)
    seen = {rule for row in rows for _, ids in row.forbids for rule in ids} | {r for row in rows for r in row.permits}
    assert seen == {rule.rule_id for pack in shipped_packs() for rule in pack.rules}
    chat = next(row for row in rows if row.stage is Stage.CHAT)
    assert chat.permits == ("permit-chat",)
    assert chat.count > 20


def test_explaining_changes_nothing_about_the_answer() -> None:
    policy = policy_of(opened(("endpoint", "anthropic", "internal")))
    question = ask("prompt", "endpoint", "anthropic", **EMAIL)
    before = policy.decide(question)
    explained(policy, question)
    assert policy.decide(question) == before == policy_of(policy.book).decide(question)
    assert policy.facts_on(TODAY).target("endpoint", "supposed") is None
