"""Labels with the shipped facts: which law follows what a scan finds, and what is left of it after a transformation."""

import tomllib
from datetime import date
from functools import cache

from greylag.domain.repository import PathRule, Repository
from greylag.governance.facts import FactBase, FactBook, parse_facts
from greylag.governance.labelling import floor_for, label_from
from greylag.governance.transformations import Occasion, discharge
from tests.support.scanners import ROOT, shipped

DAY = date(2026, 12, 1)


@cache
def facts() -> FactBase:
    """Return what the shipped rows say on `DAY`."""
    book = FactBook(())
    for file in sorted((ROOT / "policies" / "facts").glob("*.toml")):
        rows = tomllib.loads(file.read_text(encoding="utf-8"))
        book = book.joined(parse_facts(rows, {"region": "here", "jurisdiction": "GB"}))
    return book.as_of(DAY, DAY)


def test_the_law_of_where_people_are_follows_their_data() -> None:
    german = Repository("shop", "here", origins=("DE",))
    mail = shipped().scan("ada@posteo.de")
    assert "eu-gdpr" in label_from(german, facts(), (), mail).regimes
    assert "uk-gdpr" not in label_from(german, facts(), (), mail).regimes
    both = label_from(german, facts(), (), shipped().scan("NHS No. 943 476 5919"))
    assert {"eu-gdpr", "uk-gdpr"} <= set(both.regimes)


def test_people_from_nowhere_known_are_under_every_such_law() -> None:
    label = label_from(Repository("shop", "here"), facts(), (), shipped().scan("ada@posteo.de"))
    assert label.origins == ("unknown",)
    assert {"eu-gdpr", "uk-gdpr", "ch-fadp"} <= set(label.regimes)


def test_once_nobody_is_left_in_it_no_law_about_people_follows_it() -> None:
    shop = Repository("shop", "here")
    content = b"ada@posteo.de cannot log in"
    label = label_from(shop, facts(), (), shipped().scan(content.decode()))
    occasion = Occasion(
        "text/plain", "task_1", "shop", "here", "platform", floor=floor_for("redact", label, shop), facts=facts()
    )
    after = discharge("redact", content, label, shipped(), occasion).label_after
    assert (after.level, after.classes, after.origins, after.regimes) == ("internal", (), (), ())
    kept = discharge("pseudonymise", content, label, shipped(), _with_key(occasion)).label_after
    assert {"eu-gdpr", "uk-gdpr"} <= set(kept.regimes)
    assert kept.origins == ("unknown",)


def _with_key(occasion: Occasion) -> Occasion:
    return Occasion(
        occasion.media_type, occasion.task_id, occasion.repository, occasion.region, occasion.by, occasion.floor,
        occasion.facts, b"k" * 32,
    )  # fmt: skip


def test_raw_transactions_of_the_united_kingdom_become_figures() -> None:
    bank = Repository(
        "bank", "here", origins=("GB",), path_rules=(PathRule("ledger/**", "restricted", ("finance.transaction",)),)
    )
    rows = "date,account,amount,currency\n" + "".join(
        f"2024-03-1{number % 9},GB{number:08d},{number + 1}.07,GBP\n" for number in range(60)
    )
    label = label_from(bank, facts(), ("ledger/march.csv",), shipped().scan(rows))
    occasion = Occasion(
        "text/csv", "task_1", "bank", "here", "platform", floor=floor_for("aggregate", label, bank), facts=facts()
    )
    result = discharge("aggregate", rows.encode(), label, shipped(), occasion)
    assert result.ok
    assert (result.label_after.level, result.label_after.classes) == ("internal", ("finance.aggregate",))
    assert result.content == b"currency,month,count,sum_amount\nGBP,2024-03,60,1830\n"
