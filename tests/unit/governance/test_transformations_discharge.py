"""A label is lowered by a registered transformation whose result was scanned again, or not at all."""

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greylag.domain.errors import RequestRefused
from greylag.domain.labels import LEVELS, Label
from greylag.domain.repository import PathRule, Repository
from greylag.governance.canonical import canonical_json
from greylag.governance.labelling import floor_for, label_from
from greylag.governance.transformations import (
    TRANSFORMATIONS,
    DischargeResult,
    Occasion,
    discharge,
    open_mapping,
    parse_parameters,
    restore,
    unseal,
)
from tests.support.scanners import shipped

KEY = b"k" * 32
TEXT, CSV, JSON = "text/plain", "text/csv", "application/json"
CODE = Repository("shop", "eu", level="internal", classes=("code",), origins=("DE",))
MAIL = b"ada@posteo.de cannot log in"
ACCOUNT = b"ada@posteo.de pays from DE89370400440532013000"
ROWS = "date,account,amount,currency\n" + "".join(
    f"2024-03-0{1 + number % 9},ACC{number:05d},{number + 10}.37,GBP\n" for number in range(40)
)
LINK = {"task": "task_0abc", "link": "https://greylag.example/tasks/task_0abc"}


class Regimes:
    """Two bodies of law: one follows personal data, one code."""

    def regimes_of(self, classes: tuple[str, ...], origins: tuple[str, ...]) -> tuple[str, ...]:
        found = ["eu-gdpr"] if any(key.partition(".")[0] == "user" for key in classes) else []
        return tuple([*found, "eu-data-act"] if "code" in classes else found)


def done(
    name: str, content: bytes, media_type: str = TEXT, *, repository: Repository = CODE, paths: tuple[str, ...] = (),
    thread: Label | None = None, **parameters: str,
) -> tuple[Label, DischargeResult]:  # fmt: skip
    label = label_from(repository, Regimes(), paths, shipped().scan_content(content, media_type), thread)
    occasion = Occasion(
        media_type, "task_1", repository.name, "eu", "platform", floor=floor_for(name, label, repository),
        facts=Regimes(), key=KEY, parameters=parameters,
    )  # fmt: skip
    return label, discharge(name, content, label, shipped(), occasion)


def test_pseudonymised_data_stays_personal_and_becomes_internal() -> None:
    before, result = done("pseudonymise", ACCOUNT)
    assert (before.level, before.classes) == (
        "confidential",
        ("code", "user.contact.email", "user.financial.bank_account"),
    )
    after = result.label_after
    assert (result.ok, result.residual_findings, after.level) == (True, 0, "internal")
    assert after.classes == ("code", "user", "user.unique_id.pseudonymous")
    assert (after.regimes, after.subjects) == (("eu-data-act", "eu-gdpr"), 2)
    assert result.mapping is not None
    assert restore(result.content, TEXT, open_mapping(result.mapping, KEY)) == ACCOUNT


def test_redacted_data_is_what_the_repository_is() -> None:
    before, result = done("redact", MAIL + b' password = "h7Kq-2mZ9xWv"')
    assert before.level == "restricted"
    assert result.content == b'[redacted:email] cannot log in password = "[redacted:password]"'
    assert replace(result.label_after, derived_by=()) == replace(label_from(CODE, Regimes()), derived_by=())
    assert result.mapping is None


def test_raw_transactions_leave_as_counts_and_sums() -> None:
    uk = replace(CODE, origins=("GB",), path_rules=(PathRule("data/**/*.csv", "restricted", ("finance.transaction",)),))
    before, result = done("aggregate", ROWS.encode(), CSV, repository=uk, paths=("data/2024/march.csv",))
    assert (before.level, before.classes) == ("restricted", ("code", "finance.transaction"))
    assert (result.label_after.level, result.label_after.classes) == ("internal", ("code", "finance.aggregate"))
    assert result.label_after.origins == ("GB",)
    assert b"ACC" not in result.content
    assert result.declassification is not None


def test_the_record_tells_what_was_done_and_holds_no_content() -> None:
    before, result = done("aggregate", ROWS.encode(), CSV, k="20")
    record = result.declassification
    assert record is not None
    assert set(record) == {
        "kind", "declassification_id", "task_id", "repository", "region", "transformation", "parameters", "before",
        "after", "input_digest", "output_digest", "scanner_version", "residual_findings", "by",
    }  # fmt: skip
    assert record["kind"] == "declassification"
    assert record["transformation"] == "aggregate@1"
    assert record["parameters"] == {"k": "20", "count_step": "5", "sum_step": "10"}
    assert record["input_digest"] == f"sha256:{hashlib.sha256(ROWS.encode()).hexdigest()}"
    assert record["output_digest"] == f"sha256:{hashlib.sha256(result.content).hexdigest()}"
    assert record["scanner_version"] == shipped().version
    assert f"declassified:{record['declassification_id']}" in result.label_after.derived_by
    assert record["before"]["level"] == before.level  # type: ignore[index]
    assert b"ACC0" not in canonical_json(record)
    assert record == done("aggregate", ROWS.encode(), CSV, k="20")[1].declassification


def test_parameters_in_the_obligation_are_recorded_too() -> None:
    label = label_from(CODE, Regimes(), (), shipped().scan_content(ROWS.encode(), CSV))
    occasion = Occasion(CSV, "task_1", "shop", "eu", "platform", floor=CODE.label)
    record = discharge("aggregate:k=20;sum=amount", ROWS.encode(), label, shipped(), occasion).declassification
    assert record is not None
    assert record["parameters"] == {"k": "20", "count_step": "5", "sum_step": "10", "sum": "amount"}


def test_an_envelope_opens_with_the_key_and_lowers_nothing() -> None:
    before, result = done("encrypt", MAIL)
    assert (result.ok, result.label_after, result.declassification) == (True, before, None)
    assert MAIL[:5] not in result.content
    assert unseal(result.content, KEY, "content") == MAIL
    assert result.media_type == "application/octet-stream"


def test_a_card_with_a_link_holds_nothing_of_the_content() -> None:
    secret = replace(CODE, level="restricted", classes=("export.controlled",))
    _, result = done("link-instead-of-content", MAIL, repository=secret, **LINK)
    assert result.content == b"task_0abc: https://greylag.example/tasks/task_0abc\n"
    assert (result.label_after.level, result.label_after.classes, result.label_after.regimes) == ("internal", (), ())


@pytest.mark.parametrize(
    "change", [{"task": "ada@posteo.de"}, {"link": "https://x/?q=ada"}, {"link": "javascript:alert(1)"}, {"link": ""},
               {"link": "https://x/a b"}, {"task": ""}],
)  # fmt: skip
def test_a_card_cannot_carry_content_in_its_parameters(change: dict[str, str]) -> None:
    with pytest.raises(RequestRefused, match="GL-TRANSFORM-002"):
        done("link-instead-of-content", MAIL, **{**LINK, **change})


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [
        ("pseudonymise", b'{"ada@posteo.de": 1}', JSON), ("pseudonymise", b'{"card": 4929123456789015}', JSON),
        ("redact", b'{"ada@posteo.de": 1}', JSON), ("redact", b'[{"date": "1", "amount": 1, "payee": "x"}]', JSON),
        ("redact", b"ada@posteo.de \x00", TEXT), ("pseudonymise", b"\x00", TEXT),
    ],
)  # fmt: skip
def test_where_the_second_scan_finds_something_nothing_is_lowered(name: str, content: bytes, media_type: str) -> None:
    before, result = done(name, content, media_type)
    assert not result.ok
    assert (result.content, result.label_after, result.declassification, result.mapping) == (
        content,
        before,
        None,
        None,
    )
    assert result.residual_findings != 0


def test_a_secret_is_no_identifier_and_keeps_the_level() -> None:
    before, result = done("pseudonymise", MAIL + b' password = "h7Kq-2mZ9xWv"')
    assert (before.level, result.ok, result.label_after.level) == ("restricted", True, "restricted")
    assert "secret.password" in result.label_after.classes
    assert b"h7Kq" in result.content


def test_two_transformations_one_after_the_other_take_away_what_each_does() -> None:
    _, first = done("pseudonymise", MAIL + b' password = "h7Kq-2mZ9xWv"')
    floor = floor_for("redact", first.label_after, CODE)
    occasion = Occasion(TEXT, "task_1", "shop", "eu", "platform", floor=floor, facts=Regimes(), key=KEY)
    second = discharge("redact", first.content, first.label_after, shipped(), occasion)
    assert (second.label_after.level, second.label_after.classes) == (
        "internal", ("code", "user", "user.unique_id.pseudonymous"),
    )  # fmt: skip
    assert b"psn-email-" in second.content


def test_health_data_is_no_identifier() -> None:
    _, result = done("pseudonymise", b"ada@posteo.de, diagnosis: E11.9")
    assert "user.health_and_medical" in result.label_after.classes
    assert result.label_after.level == "confidential"


def test_what_the_operator_said_of_a_path_holds_for_what_keeps_its_form() -> None:
    said = replace(
        CODE, path_rules=(PathRule("crown/", "restricted"), PathRule("hr/", "confidential", ("user.employment",)))
    )
    _, result = done("redact", MAIL, repository=said, paths=("crown/a.py",))
    assert result.label_after.level == "restricted"
    _, result = done("pseudonymise", MAIL, repository=said, paths=("hr/a.csv",))
    assert result.label_after.level == "confidential"
    assert "user.employment" in result.label_after.classes


def test_what_a_thread_carries_is_not_lowered_by_who_does_not_know_why() -> None:
    thread = Label.of("restricted", derived_by=("thread",))
    _, result = done("redact", MAIL, thread=thread)
    assert (result.ok, result.label_after.level) == (True, "restricted")


def test_without_a_floor_the_level_stays() -> None:
    label = label_from(CODE, Regimes(), (), shipped().scan(ACCOUNT.decode()))
    result = discharge("redact", ACCOUNT, label, shipped(), Occasion(TEXT, "task_1", "shop", "eu", "platform"))
    assert (result.ok, result.label_after.level, result.label_after.classes) == (True, "confidential", ("code",))


def test_content_with_nothing_in_it_is_not_lowered_by_transforming_it() -> None:
    declared = replace(CODE, level="confidential", classes=("user.contact.email",))
    before, result = done("pseudonymise", b"nothing here", repository=declared)
    assert (result.ok, result.label_after, result.declassification) == (True, before, None)


@pytest.mark.parametrize("text", ["aggregate|redact", "approve:dpo", "retain:30", "", "shred", "redact:x", "redact:;y"])
def test_what_no_transformation_discharges_is_refused(text: str) -> None:
    with pytest.raises(RequestRefused, match="GL-TRANSFORM-006"):
        parse_parameters(text)


def test_a_parameter_nobody_knows_is_refused() -> None:
    with pytest.raises(RequestRefused, match="GL-TRANSFORM-002"):
        done("redact", MAIL, colour="red")


CLASSES = ("code", "user", "user.contact.email", "user.contact", "finance.transaction", "secret.password",
           "user.health_and_medical", "export.controlled", "agent.transcript", "user.name")  # fmt: skip
LABELS = st.builds(
    Label.of, st.sampled_from(LEVELS), classes=st.lists(st.sampled_from(CLASSES), max_size=4),
    origins=st.lists(st.sampled_from(["DE", "GB", "unknown"]), max_size=2),
    regimes=st.lists(st.sampled_from(["eu-gdpr", "uk-gdpr"]), max_size=2), subjects=st.integers(0, 9),
    derived_by=st.lists(st.sampled_from(["repository", "thread", "scanner:email", "path:a"]), max_size=3),
)  # fmt: skip
CONTENTS = st.lists(
    st.sampled_from(["ada@posteo.de ", 'password = "h7Kq-2mZ9xWv"\n', "diagnosis: E11.9 ", "code ", "\n",
                     "date,account,amount\n2024-01-01,x,1.50\n", "DE89370400440532013000 ", "psn-email-0123456789ab"]),
    max_size=5,
).map("".join)  # fmt: skip


@given(LABELS, st.none() | LABELS, CONTENTS, st.sampled_from(sorted(TRANSFORMATIONS)))
@settings(max_examples=400, deadline=None)
def test_never_lower_than_floor_and_finds_and_never_without_a_record(
    label: Label, floor: Label | None, text: str, name: str
) -> None:
    parameters = LINK if name.startswith("link") else {}
    occasion = Occasion(CSV, "task_1", "r", "eu", "p", floor=floor, key=KEY, parameters=parameters)
    try:
        result = discharge(name, text.encode(), label, shipped(), occasion)
    except RequestRefused:
        return
    after, transformation = result.label_after, TRANSFORMATIONS[name]
    if result.declassification is None:
        assert after == label
        return
    assert result.ok
    assert result.residual_findings == 0
    assert after.rank <= label.rank or label.rank == after.rank
    if floor is not None:
        assert after.rank >= min(floor.rank, label.rank)
        assert {key for key in floor.classes if key not in label.classes} <= set(after.classes)
    if after.rank < label.rank:
        assert floor is not None
        assert (label.level, "internal") in transformation.lowers
    again = shipped().scan_content(result.content, result.media_type) if not transformation.opaque else None
    for key in set(label.classes) - set(after.classes):
        assert transformation.ends(key) or key in shipped().scan_content(text.encode(), CSV).keys
        assert again is None or key not in again.keys
    assert set(label.origins) - set(after.origins) <= {"unknown"}
    assert set(label.regimes) == set(after.regimes)


@given(LABELS, LABELS, LABELS)
@settings(max_examples=200, deadline=None)
def test_labels_join_in_any_order(one: Label, two: Label, three: Label) -> None:
    assert one.joined(two) == two.joined(one)
    assert one.joined(two).joined(three) == one.joined(two.joined(three)) == one.joined(two, three)
    assert one.joined(one) == one
    assert one.joined(two).rank == max(one.rank, two.rank)


def test_json_of_a_prompt_is_still_json() -> None:
    body = json.dumps({"messages": [{"role": "user", "content": 'mail "ada@posteo.de"\n\u202e'}]}).encode()
    _, result = done("redact", body, JSON)
    assert json.loads(result.content)["messages"][0]["content"] == 'mail "[redacted:email]"\n\u202e'
