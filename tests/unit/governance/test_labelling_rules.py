"""What an asset's label is made of, and which rule speaks of which path."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.domain.labels import Label
from greylag.domain.repository import PathRule, Repository
from greylag.governance.labelling import explained, floor_for, label_from, matching, path_matches, with_regimes
from greylag.governance.scanning import Findings
from tests.support.scanners import shipped

REPOSITORY = Repository(
    "shop", "eu", level="internal", classes=("code",), origins=("DE",),
    path_rules=(
        PathRule("data/**/*.csv", "restricted", ("finance.transaction",), ("GB",)), PathRule("*.pem", "restricted"),
    ),
)  # fmt: skip


class Asked:
    """Facts that remember what they were asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], tuple[str, ...]]] = []

    def regimes_of(self, classes: tuple[str, ...], origins: tuple[str, ...]) -> tuple[str, ...]:
        self.asked.append((classes, origins))
        return ("eu-gdpr",) if any(key.startswith("user") for key in classes) else ()


def test_a_label_is_what_everybody_says_joined() -> None:
    found = shipped().scan("ada@posteo.de")
    thread = Label.of("internal", origins=("FR",), derived_by=("thread",))
    label = label_from(REPOSITORY, Asked(), ("data/a/b.csv",), found, thread)
    assert label == Label.of(
        "restricted", classes=("code", "finance.transaction", "user.contact.email"), origins=("DE", "FR", "GB"),
        regimes=("eu-gdpr",), subjects=1,
        derived_by=("path:data/**/*.csv", "regime:eu-gdpr", "repository", "scanner:email", "thread"),
    )  # fmt: skip
    assert len(explained(label)) == 5
    assert all(line.endswith(".") for line in explained(label))


def test_regimes_are_asked_for_all_classes_and_origins_together() -> None:
    facts = Asked()
    label_from(REPOSITORY, facts, ("data/b.csv",))
    assert facts.asked == [(("code", "finance.transaction"), ("DE", "GB"))]


def test_personal_data_of_which_nobody_knows_the_origin_is_from_unknown() -> None:
    nowhere = replace(REPOSITORY, origins=())
    assert label_from(nowhere, Asked(), (), shipped().scan("ada@posteo.de")).origins == ("unknown",)
    assert label_from(nowhere, Asked(), (), shipped().scan("+44 20 7946 0958")).origins == ("GB",)
    assert label_from(nowhere, Asked()).origins == ()
    assert "nobody said where" in explained(label_from(nowhere, Asked(), (), Findings(complete=False)))[0]


def test_labels_only_add_up() -> None:
    bare = label_from(REPOSITORY, Asked())
    more = label_from(REPOSITORY, Asked(), ("k.pem",), shipped().scan("ada@posteo.de"))
    assert bare.joined(more) == more
    assert with_regimes(more, Asked()) == more


@pytest.mark.parametrize(
    ("pattern", "path", "speaks"),
    [
        ("data/*.csv", "data/a.csv", True), ("data/*.csv", "data/x/a.csv", False),
        ("data/**/*.csv", "data/a.csv", True), ("data/**/*.csv", "data/x/y/a.csv", True),
        ("**/secrets/**", "a/secrets/b/c", True), ("**", "anything/at/all", True), ("*.pem", "deep/down/k.pem", True),
        ("data/", "data/x/y", True), ("data/", "other/data/x", True), ("/data/", "data/x", True),
        ("data", "x/data", True), ("data/**", "database/x", False), ("a?.txt", "ab.txt", True),
        ("a?.txt", "a/.txt", False), ("DATA/*.CSV", "data/a.csv", True), ("data/*.csv", "DATA/A.CSV", True),
        ("[ab].txt", "a.txt", True), ("data\\x.csv", "data/x.csv", True), ("data/x.csv", "./data//x.csv", True),
        ("**/**/a", "a", True), ("a/**/b/**/c", "a/x/b/y/z/c", True), ("a/**/b/**/c", "a/x/c", False),
        ("a**b/c", "axxb/c", True),
    ],
)  # fmt: skip
def test_which_rule_speaks_of_which_path(pattern: str, path: str, speaks: bool) -> None:
    assert path_matches(pattern, path) is speaks


def test_a_path_too_long_to_look_at_is_spoken_of_by_every_rule() -> None:
    assert path_matches("data/x", "a" * 5_000)
    assert path_matches("data/x", "a/" * 200)


def test_many_stars_take_no_time() -> None:
    assert not path_matches("**/" * 40 + "x" + "*a" * 30 + "b", "a/" * 100 + "a" * 2_000)


def test_rules_are_told_once_in_their_order() -> None:
    found = matching(REPOSITORY.path_rules, ["x.pem", "data/1.csv", "data/2.csv"])
    assert [rule.pattern for rule in found] == ["data/**/*.csv", "*.pem"]


@given(st.text(alphabet="ab*?/[]!.\\", max_size=24), st.text(alphabet="ab/.é\x00\n", max_size=24))
def test_any_pattern_and_path_has_an_answer(pattern: str, path: str) -> None:
    assert path_matches(pattern, path) in (True, False)
    assert path_matches("**", path)


def test_the_floor_is_what_was_said_not_what_was_found() -> None:
    label = label_from(REPOSITORY, Asked(), ("data/1.csv", "k.pem"), shipped().scan("ada@posteo.de"))
    assert floor_for("redact", label, REPOSITORY).level == "restricted"
    assert floor_for("redact", label, REPOSITORY).classes == ("code", "finance.transaction")
    only_data = label_from(REPOSITORY, Asked(), ("data/1.csv",))
    assert floor_for("aggregate:k=20", only_data, REPOSITORY) == REPOSITORY.label
    assert floor_for("aggregate", label, REPOSITORY).level == "restricted"
    assert floor_for("link-instead-of-content", label, REPOSITORY).level == "internal"
    assert floor_for("no-such", label, REPOSITORY) == label
    assert floor_for("redact", label.because("somebody"), REPOSITORY) == label.because("somebody")
    assert floor_for("redact", label, replace(REPOSITORY, path_rules=())) == label
