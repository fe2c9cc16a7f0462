"""Rules as data: they find their examples, can't take long, and a bad one is refused when it is loaded."""

import tomllib

import pytest

from greylag.domain.errors import OperatorError
from greylag.governance.scanning import Rule, Scanner, parse_rules, untrue_examples
from greylag.governance.scanning.patterns import MAX_STEPS, compiled
from tests.support.scanners import ROOT, shipped

GOOD = {
    "id": "badge", "class": "user.unique_id", "level": "confidential", "token": "badge", "pattern": r"B-\d{6}",
    "examples": ["B-123456"], "counter_examples": ["B-1"],
}  # fmt: skip
TABLE = {
    "id": "stays", "class": "user.location", "level": "confidential", "token": "stay", "required": ["room"],
    "at_least": 2, "columns": {"room": ["room"], "guest": ["guest"]}, "examples": ["room,guest\n1,2"],
    "counter_examples": ["room"],
}  # fmt: skip


def rules(*rows: dict[str, object], **more: object) -> tuple[object, ...]:
    return parse_rules({"schema_version": 1, "rule": list(rows), **more})


def test_every_shipped_rule_finds_its_examples_and_no_counter_example() -> None:
    assert untrue_examples(shipped().rules) == ()


def test_every_shipped_rule_has_both_kinds_of_example() -> None:
    assert [rule.id for rule in shipped().rules if not (rule.examples and rule.counter_examples)] == []


def test_an_example_that_is_not_found_is_told() -> None:
    made = rules({**GOOD, "examples": ["C-1"], "counter_examples": ["B-123456"]})
    assert untrue_examples(made) == ("`badge` does not find 'C-1'", "`badge` finds 'B-123456'")


def test_where_a_rule_looks_only_near_what_it_needs_it_misses_nothing() -> None:
    """``needs`` and ``digits`` say where a match can be; a rule that says it wrongly would be blind there."""
    everywhere = []
    for rule in shipped().rules:
        if isinstance(rule, Rule):
            fields = {name: getattr(rule, name) for name in Rule.__slots__}
            everywhere.append(Rule(**{**fields, "needs": (), "digits": False}))
    blind = Scanner(rule for rule in shipped().rules if isinstance(rule, Rule))
    seeing = Scanner(everywhere)
    texts = [each for rule in shipped().rules for each in (*rule.examples, *rule.counter_examples)]
    whole = "\n\n".join(texts)
    for text in (*texts, whole, "x" * 5_000 + whole + "1" * 5_000):
        assert blind.scan(text).found == seeing.scan(text).found


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"pattern": r"(?:a+)+b"}, "004"),
        ({"pattern": r"(?:a{1,50}b?){1,50}c"}, "004"),
        ({"pattern": r"\d{1,40}\d{1,40}\d{1,40}x"}, "004"),
        ({"pattern": r"(a)\1"}, "004"),
        ({"pattern": r".*x"}, "004"),
        ({"pattern": r"x{3,}"}, "004"),
        ({"pattern": r"(?:ab){1,3}+c"}, "004"),
        ({"pattern": r"a?"}, "004"),
        ({"pattern": r"[a"}, "004"),
        ({"pattern": r"a)"}, "004"),
        ({"pattern": r"(?:a"}, "004"),
        ({"pattern": "a" * 3_000}, "004"),
        ({"pattern": ""}, "003"),
        ({"level": "secret"}, "003"),
        ({"level": "internal"}, "003"),
        ({"class": "secret.token"}, "003"),
        ({"class": "Not A Key"}, "003"),
        ({"id": "UPPER"}, "003"),
        ({"token": "x-1"}, "003"),
        ({"check": "no_such"}, "003"),
        ({"origin": "Germany"}, "003"),
        ({"needs": ["Upper"]}, "003"),
        ({"needs": ["b-"], "context": ["badge"]}, "003"),
        ({"digits": 1}, "003"),
        ({"examples": "B-123456"}, "003"),
        ({"examples": [1]}, "003"),
        ({"colour": "red"}, "002"),
    ],
)
def test_a_bad_rule_is_refused_when_it_is_loaded(change: dict[str, object], code: str) -> None:
    with pytest.raises(OperatorError, match=f"GL-SCAN-{code}: rule 1") as caught:
        rules({**GOOD, **change})
    assert caught.value.remedy


@pytest.mark.parametrize("field", ["id", "class", "level", "token", "pattern", "examples", "counter_examples"])
def test_a_rule_without_a_field_it_needs_is_refused(field: str) -> None:
    with pytest.raises(OperatorError, match=f"`{field}`: got/expected: nothing"):
        rules({name: value for name, value in GOOD.items() if name != field})


@pytest.mark.parametrize(
    "change",
    [{"at_least": 1}, {"at_least": "2"}, {"at_least": 3}, {"required": []}, {"required": ["bed"]}, {"columns": {}},
     {"columns": {"room": "room"}}, {"columns": []}],
)  # fmt: skip
def test_a_bad_table_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(OperatorError, match="GL-SCAN-003: table 1"):
        parse_rules({"schema_version": 1, "table": [{**TABLE, **change}]})


@pytest.mark.parametrize(
    "data",
    [{}, {"schema_version": 2}, {"schema_version": True}, {"schema_version": 1, "rules": []},
     {"schema_version": 1, "rule": {}}, {"schema_version": 1, "rule": ["x"]}],
)  # fmt: skip
def test_a_file_of_another_shape_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(OperatorError, match="GL-SCAN-001"):
        parse_rules(data)


def test_one_id_means_one_rule_over_all_files() -> None:
    with pytest.raises(OperatorError, match="GL-SCAN-005"):
        parse_rules({"schema_version": 1, "rule": [GOOD]}, {"schema_version": 1, "table": [{**TABLE, "id": "badge"}]})


@pytest.mark.parametrize(
    ("pattern", "steps_and_width"),
    [("abc", 3), (r"\d{2,4}", 4), ("(?:a|bc)", 2), ("[a-z]{1,9}+x", 10), ("(?=abc)x", 1), ("(?<!abc)xy", 2)],
)
def test_the_width_of_a_pattern_is_the_longest_match(pattern: str, steps_and_width: int) -> None:
    assert compiled(pattern)[1] == steps_and_width


def test_the_bound_is_a_bound() -> None:
    compiled(rf"x{{1,{MAX_STEPS // 2}}}+y")
    with pytest.raises(ValueError, match="steps at one place"):
        compiled(rf"x{{1,{MAX_STEPS}}}y")


def test_the_version_changes_with_what_a_rule_finds_and_with_nothing_else() -> None:
    version = Scanner(rules(GOOD)).version
    assert Scanner(rules({**GOOD, "examples": ["B-000000"]})).version == version
    for change in ({"pattern": r"B-\d{7}"}, {"level": "restricted"}, {"class": "user"}, {"ignore": ["b-000000"]},
                   {"context": ["badge"]}, {"unless": ["not"]}, {"check": "luhn"}):  # fmt: skip
        assert Scanner(rules({**GOOD, **change})).version != version
    assert len(version) == 64


def test_the_shipped_files_are_read_in_any_order() -> None:
    files = [tomllib.loads(file.read_text()) for file in sorted((ROOT / "policies" / "scanners").glob("*.toml"))]
    assert {rule.id for rule in parse_rules(*reversed(files))} == {rule.id for rule in shipped().rules}
