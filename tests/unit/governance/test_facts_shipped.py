"""The shipped facts: every row is sourced and dated, and relations between states, vendors and days come out right."""

import tomllib
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from greylag.domain.labels import Label
from greylag.governance.facts import FactBase, FactBook, Processor, TargetFact, lint, parse_facts, stale

SHIPPED = Path(__file__).resolve().parents[3] / "policies" / "facts"
#: What an install's settings or its demo add; their rows are the operator's own and need no review.
OWN = frozenset({"own-region", "scripted-model"})
#: The day on which the rows were written, and the first day on which an install can know all of them.
WRITTEN = date(2026, 11, 23)
UNCHECKED = "general knowledge, not checked"
VARIABLES = {"region": "here", "jurisdiction": "DE"}
TABLES = {path.stem: tomllib.loads(path.read_text()) for path in sorted(SHIPPED.glob("*.toml"))}
GIVEN: dict[str, Any] = {"source": "a test", "retrieved": date(2026, 1, 2), "status": "in_force", "certainty": "O"}


@cache
def shipped() -> FactBook:
    """Return all shipped rows as one book."""
    book = parse_facts({"schema_version": 2})
    for tables in TABLES.values():
        book = book.joined(parse_facts(tables, VARIABLES))
    return book


def on(day: date, known: date | None = None, *, book: FactBook | None = None) -> FactBase:
    return (book or shipped()).as_of(day, known or max(day, WRITTEN))


def endpoint(facts: FactBase, name: str) -> TargetFact:
    found = facts.target("endpoint", name)
    assert found is not None, name
    return found


def visiting(importer: str, *schemes: str) -> FactBook:
    """Return the shipped book and an endpoint that works in ``importer`` alone, run by a company with ``schemes``."""
    rows: dict[str, Any] = {
        "schema_version": 2,
        "processor": [{"name": "A Company", "legal_entity": "A Company", "seat": importer, **GIVEN}],
        "certification": [{"processor": "A Company", "scheme": scheme, **GIVEN} for scheme in schemes],
        "target": [
            {"kind": "endpoint", "name": "visited", "processor": "A Company", "places": [importer], "pinned": True,
             "trains_by_default": False, **GIVEN},
        ],
    }  # fmt: skip
    return shipped().joined(parse_facts(rows))


def uncovered(
    regime: str, exporter: str, importer: str, day: date = WRITTEN, *schemes: str, data: str = "user.contact.email",
    known: date | None = None,
) -> frozenset[str]:  # fmt: skip
    facts = on(day, known, book=visiting(importer, *schemes))
    label = Label.of("internal", classes=[data], origins=[exporter], regimes=[regime])
    return facts.transfer(regime, label, endpoint(facts, "visited")).uncovered


# Every row


def rows_of(stem: str) -> list[tuple[str, dict[str, Any]]]:
    return [(table, row) for table, rows in TABLES[stem].items() if isinstance(rows, list) for row in rows]


@pytest.mark.parametrize("stem", sorted(set(TABLES) - OWN))
def test_every_row_says_where_it_was_read_and_when_to_look_again(stem: str) -> None:
    assert rows_of(stem)
    for table, row in rows_of(stem):
        assert row["source"].strip(), row
        assert type(row["retrieved"]) is date, row
        assert row["retrieved"] <= WRITTEN < row["review_by"], row
        house = (table, row.get("name")) == ("zone", "approved-control")
        assert row["certainty"] in ({"O"} if house else {"A", "B", "C", "K"}), row
        assert row["status"], row


@pytest.mark.parametrize("stem", sorted(set(TABLES) - OWN))
def test_what_was_not_checked_says_so(stem: str) -> None:
    for _, row in rows_of(stem):
        said = f"{row['source']} {row.get('note', '')}"
        if UNCHECKED in row["source"]:
            assert row["certainty"] == "K", row
        if row["certainty"] == "K":
            assert "general knowledge" in said or "assumed from the seat" in said, row


def test_no_shipped_row_opens_anything() -> None:
    assert not [stem for stem, tables in TABLES.items() if "opening" in tables]
    vendors = [row for stem, tables in TABLES.items() if stem not in OWN for row in tables.get("target", [])]
    assert vendors
    assert not [row["name"] for row in vendors if "max_level" in row]
    closed = {row["name"] for row in vendors}
    assert {row.max_level for row in on(WRITTEN).targets if row.name in closed} == {"closed"}


def test_no_file_is_too_long_to_read() -> None:
    assert not [path.name for path in SHIPPED.glob("*.toml") if path.read_text().count("\n") >= 450]


def test_the_linter_finds_no_error() -> None:
    assert not [finding for finding in lint(shipped(), WRITTEN) if finding.severity == "error"]


def test_rows_go_stale_when_nobody_looks_again() -> None:
    own = {row.row for row in shipped().rows if row.basis.review_by is None}
    assert not [row.row for row in stale(shipped(), WRITTEN) if row.row not in own]
    early = {row.row for row in stale(shipped(), date(2027, 1, 1))}
    assert {"adequacy/eu-us-dpf", "adequacy/uk-us-bridge", "adequacy/ch-us-dpf"} <= early
    assert "zone/EU27/1958" not in early


def test_every_name_in_a_row_has_a_row() -> None:
    """Companies, zones, places, regimes of adequacy: a name without a row means unknown, and none is meant to be."""
    facts = on(WRITTEN)
    zones = set(facts.zones())
    companies = {row.name for row in shipped().rows if isinstance(row, Processor)}
    assert not [row.name for row in shipped().rows if isinstance(row, Processor) and not set(row.parents) <= companies]
    for target in facts.targets:
        named = {*target.processing, *target.storage, *target.support, *target.control_plane}
        assert {name[5:] for name in named if name.startswith("zone:")} <= zones, target.name
        assert all(facts.place(name) for name in named if ":" in name and not name.startswith("zone:")), target.name
        if target.processor not in ("", "unknown"):
            assert {target.processor, *target.sub_processors} <= companies, target.name
    assert {row.regime for row in facts.adequacies()} == {"ch-fadp", "eu-gdpr", "uk-gdpr"}


def test_what_should_be_loaded_is() -> None:
    laws = {row.row for row in shipped().rows}
    for name in (
        "gdpr-art-48", "gdpr-scc", "gdpr-tia", "gdpr-dpf", "gdpr-dpf-oversight", "gdpr-pseudonymised",
        "data-act-art-28", "data-act-art-32", "dora-art-30-2-b", "dora-art-28-3", "nis2-supply-chain", "ehds-place",
        "hds-storage", "sren-art-32", "secnumcloud-19-6", "c5", "ens", "ai-act-art-12", "ai-act-annex-iii",
        "ai-act-annex-i", "uk-restricted-transfer", "nhs-offshoring", "uk-ss2-21", "ch-fadp-art-16", "cloud-act",
        "fisa-702", "dsp-bulk-genomic", "dsp-bulk-identifiers", "hipaa-baa", "medicaid-offshore", "itar-120-54",
        "dpdp-negative-list", "rbi-payment-data", "pipl-art-38", "pipl-counter", "pipl-certification", "gba-contract",
        "ru-152fz-18-5", "sa-pdpl-art-29", "ae-pdpl", "ae-difc", "ae-adgm", "quebec-s-17", "pipeda", "app-8",
        "lgpd-art-33", "appi-art-28", "pipa-art-28-8", "pdpa-s-26", "seal", "gaia-x-labels", "cada-level-4",
    ):  # fmt: skip
        assert f"law/{name}" in laws
    for name in (
        "anthropic", "anthropic-us", "claude-platform-aws", "bedrock-eu", "bedrock-us", "bedrock-apac", "bedrock-jp",
        "bedrock-au", "bedrock-us-gov", "bedrock-global", "bedrock-eusc-de-east-1", "vertex-eu", "vertex-us",
        "vertex-global", "vertex-unlisted-region", "azure-eu-datazone", "azure-us-datazone", "azure-global",
        "azure-developer", "azure-uksouth", "foundry-claude", "openai", "openai-eu", "openai-us", "openai-au",
        "openai-in", "openai-jp", "mistral", "mistral-eu", "mistral-us", "ovhcloud", "scaleway", "deepseek", "qwen-cn",
        "moonshot", "zai",
    ):  # fmt: skip
        assert f"endpoint/{name}" in laws
    assert {"chat/slack", "chat/slack-de", "chat/slack-gb", "forge/github", "forge/ghe-eu", "host/pypi.org"} <= laws


# Zones and regimes by day


def test_the_union_is_who_was_in_it_on_the_day() -> None:
    union = {year: on(date(year, 6, 1)).zone("EU27") for year in (1972, 1990, 2003, 2019, 2021, 2026)}
    assert {year: len(members or ()) for year, members in union.items()} == {
        1972: 6, 1990: 12, 2003: 15, 2019: 28, 2021: 27, 2026: 27,
    }  # fmt: skip
    assert "GB" in (union[2019] or ())
    assert "GB" not in (union[2021] or ())
    assert "GB" in (on(date(2020, 1, 31)).zone("EU27") or ())
    assert "GB" not in (on(date(2020, 2, 1)).zone("EU27") or ())
    assert (on(WRITTEN).zone("EEA") or frozenset()) - (union[2026] or frozenset()) == {"IS", "LI", "NO"}


def test_countries_of_concern_are_so_since_the_rule_took_effect() -> None:
    assert not on(date(2025, 4, 7)).zone("us-dsp-concern")
    concern = on(date(2025, 4, 8)).zone("us-dsp-concern") or frozenset()
    assert {"CN", "HK", "MO", "CU", "IR", "KP", "RU", "VE"} <= concern
    assert "TW" not in concern


def test_approved_control_is_the_operator_and_europe() -> None:
    approved = on(WRITTEN).zone("approved-control") or frozenset()
    assert {"operator", "DE", "NO", "GB", "CH"} <= approved
    assert approved.isdisjoint({"US", "CN", "unknown", "anywhere"})


@pytest.mark.parametrize(
    ("classes", "origin", "expected"),
    [
        (["user.contact.email"], "DE", ("eu-gdpr",)),
        (["user.contact.email"], "NO", ("eu-gdpr",)),
        (["user.contact.email"], "GB", ("uk-gdpr",)),
        (["user.contact.email"], "CH", ("ch-fadp",)),
        (["user.contact.email"], "CA-QC", ("ca-quebec",)),
        (["user.contact.email"], "CN", ("cn-pipl",)),
        (["user.contact.email"], "HK", ()),
        (["user.health_and_medical"], "US", ("us-dsp", "us-hipaa")),
        (["code.proprietary"], "DE", ("eu-data-act",)),
        (["code.proprietary"], "GB", ()),
        (["finance.transaction"], "IE", ("dora",)),
        (["finance.transaction"], "GB", ()),
    ],
)
def test_regimes_follow_data_by_class_and_origin(classes: list[str], origin: str, expected: tuple[str, ...]) -> None:
    assert on(WRITTEN).regimes_of(tuple(classes), (origin,)) == expected


def test_an_unknown_origin_is_under_every_regime_that_fits() -> None:
    found = on(WRITTEN).regimes_of(("user.contact.email",), ("unknown",))
    assert {"eu-gdpr", "uk-gdpr", "ch-fadp", "ca-quebec", "cn-pipl"} <= set(found)


def test_the_indian_act_is_adopted_and_does_not_apply_yet() -> None:
    data = (("user.contact.email",), ("IN",))
    assert "in-dpdp" not in on(WRITTEN).regimes_of(*data)
    assert "in-dpdp" not in on(date(2027, 5, 12)).regimes_of(*data)
    assert "in-dpdp" in on(date(2027, 5, 13)).regimes_of(*data)
    assert (on(WRITTEN).zone("in-dpdp-restricted") or frozenset()) <= {"operator"}


def test_proposed_law_does_not_decide() -> None:
    laws = {row.name for row in on(WRITTEN).laws()}
    assert "gdpr-art-45" in laws
    assert laws.isdisjoint({"cada-level-1", "cada-level-4", "ai-act-annex-iii", "dpdp-core-duties", "ehds-place"})
    assert "ai-act-annex-iii" in {row.name for row in on(date(2027, 12, 2)).laws()}


# Adequacy is a relation


@pytest.mark.parametrize(
    ("regime", "exporter", "importer", "adequate"),
    [
        ("eu-gdpr", "DE", "BR", True),
        ("eu-gdpr", "NO", "BR", False),
        ("uk-gdpr", "GB", "BR", False),
        ("ch-fadp", "CH", "BR", False),
        ("eu-gdpr", "DE", "JP", True),
        ("eu-gdpr", "IS", "JP", True),
        ("uk-gdpr", "GB", "JP", True),
        ("ch-fadp", "CH", "JP", False),
        ("eu-gdpr", "DE", "KR", True),
        ("uk-gdpr", "GB", "KR", True),
        ("ch-fadp", "CH", "KR", False),
        ("eu-gdpr", "DE", "CA", True),
        ("eu-gdpr", "DE", "CA-QC", False),
        ("uk-gdpr", "GB", "CA-QC", False),
        ("ch-fadp", "CH", "CA-QC", True),
        ("uk-gdpr", "GB", "FR", True),
        ("uk-gdpr", "GB", "GI", True),
        ("eu-gdpr", "DE", "GI", False),
        ("ch-fadp", "CH", "DE", True),
        ("eu-gdpr", "DE", "CH", True),
        ("eu-gdpr", "DE", "FO", True),
        ("eu-gdpr", "DE", "EP", True),
        ("eu-gdpr", "DE", "NO", True),
        ("eu-gdpr", "DE", "IN", False),
        ("eu-gdpr", "DE", "CN", False),
        ("eu-gdpr", "DE", "HK", False),
        ("eu-gdpr", "DE", "AE-DIFC", False),
        ("eu-gdpr", "DE", "US", False),
        ("uk-gdpr", "GB", "US", False),
        ("ch-fadp", "CH", "US", False),
        ("ca-quebec", "CA-QC", "CA", False),
        ("ca-quebec", "CA-QC", "FR", False),
        ("cn-pipl", "CN", "HK", False),
        ("cn-pipl", "CN", "CN-GBA", True),
    ],
)
def test_adequacy_is_between_an_exporter_and_an_importer(
    regime: str, exporter: str, importer: str, adequate: bool
) -> None:
    assert uncovered(regime, exporter, importer) == (frozenset() if adequate else {importer})


@pytest.mark.parametrize(
    ("regime", "importers"),
    [
        ("eu-gdpr", "AD AR BR CA CH EP FO GB GG IL IM JE JP KR NZ US UY"),
        ("uk-gdpr", "AD AR CA CH FO GG GI IL IM JE JP KR NZ US UY zone:EEA"),
        ("ch-fadp", "AD AR CA CA-QC FO GB GG GI IL IM JE MC NZ US UY zone:EEA"),
    ],
)
def test_three_lists_differ(regime: str, importers: str) -> None:
    rows = [row for row in on(WRITTEN).adequacies() if row.regime == regime]
    assert sorted({each for row in rows for each in row.importers}) == sorted(importers.split())


def test_a_sector_is_part_of_the_relation() -> None:
    book = visiting("JP").overlaid_with(
        parse_facts(
            {
                "schema_version": 2,
                "processor": [
                    {"name": "A Company", "legal_entity": "An Agency", "seat": "JP", "sector": "public", **GIVEN}
                ],
            }
        )
    )
    facts = on(WRITTEN, book=book)
    label = Label.of("internal", classes=["user.name"], origins=["DE"], regimes=["eu-gdpr"])
    assert facts.transfer("eu-gdpr", label, endpoint(facts, "visited")).uncovered == {"JP"}


@pytest.mark.parametrize(
    ("regime", "exporter", "scheme"),
    [("eu-gdpr", "DE", "dpf"), ("eu-gdpr", "NO", "dpf"), ("uk-gdpr", "GB", "dpf-uk"), ("ch-fadp", "CH", "dpf-ch")],
)
def test_the_united_states_are_adequate_for_certified_recipients_only(regime: str, exporter: str, scheme: str) -> None:
    assert uncovered(regime, exporter, "US", WRITTEN, scheme) == frozenset()
    others = {"dpf", "dpf-uk", "dpf-ch", "soc2"} - {scheme}
    assert uncovered(regime, exporter, "US", WRITTEN, *sorted(others)) == {"US"}
    assert uncovered(regime, exporter, "US", WRITTEN, scheme, data="user.job_title") == {"US"}
    assert uncovered(regime, exporter, "US", WRITTEN, f"{scheme}-hr", data="user.job_title") == frozenset()


def test_the_framework_holds_since_its_day_and_is_challenged_since_the_appeal() -> None:
    before, first = date(2023, 7, 9), date(2023, 7, 10)
    assert uncovered("eu-gdpr", "DE", "US", before, "dpf") == {"US"}
    assert uncovered("eu-gdpr", "DE", "US", first, "dpf") == frozenset()
    status = {
        day: next(row.basis.status for row in on(day).adequacies() if row.name == "eu-us-dpf")
        for day in (first, date(2025, 10, 30), date(2025, 10, 31), WRITTEN)
    }
    assert list(status.values()) == ["in_force", "in_force", "challenged", "challenged"]


def test_what_was_not_known_yet_does_not_decide() -> None:
    day = date(2026, 8, 4)
    assert "eu-us-dpf" not in {row.name for row in on(day, known=day).adequacies()}
    read = date(2026, 8, 5)
    assert "eu-us-dpf" in {row.name for row in on(day, known=read).adequacies()}
    assert "uk-us-bridge" not in {row.name for row in on(day, known=read).adequacies()}
    assert "US" in uncovered("eu-gdpr", "DE", "US", WRITTEN, "dpf", known=day)


def test_the_united_kingdom_is_adequate_until_the_decision_runs_out() -> None:
    assert uncovered("eu-gdpr", "DE", "GB", date(2021, 6, 27)) == {"GB"}
    assert uncovered("eu-gdpr", "DE", "GB", date(2021, 6, 28)) == frozenset()
    assert uncovered("eu-gdpr", "DE", "GB", date(2025, 12, 18)) == frozenset()
    assert uncovered("eu-gdpr", "DE", "GB", date(2025, 12, 19)) == frozenset()
    assert uncovered("eu-gdpr", "DE", "GB", date(2031, 12, 26)) == frozenset()
    assert uncovered("eu-gdpr", "DE", "GB", date(2031, 12, 27)) == {"GB"}


def test_brazil_is_adequate_since_its_decision() -> None:
    assert uncovered("eu-gdpr", "DE", "BR", date(2026, 1, 25)) == {"BR"}
    assert uncovered("eu-gdpr", "DE", "BR", date(2026, 1, 26)) == frozenset()


# Vendors: reach, control, provenance

EMAIL = Label.of("internal", classes=["user.contact.email"], origins=["DE"], regimes=["eu-gdpr"])


def test_an_endpoint_that_is_not_pinned_reaches_anywhere() -> None:
    facts = on(WRITTEN)
    for name in ("anthropic", "openai", "mistral", "bedrock-global", "azure-global", "vertex-global", "foundry-claude"):
        assert "anywhere" in facts.reach(endpoint(facts, name)).everywhere, name
    assert facts.reach(endpoint(facts, "anthropic-us")).everywhere == {"US"}
    assert endpoint(facts, "anthropic-us").observed_field == "usage.inference_geo"
    assert endpoint(facts, "anthropic-us").price_permille == 1100


def test_a_european_region_of_an_american_vendor_is_reached_from_america() -> None:
    facts = on(WRITTEN)
    for name in ("bedrock-eu", "bedrock-eu-central-1", "vertex-eu", "vertex-europe-west3", "azure-eu-datazone"):
        reach = facts.reach(endpoint(facts, name))
        assert reach.residency <= (facts.zone("EU27") or frozenset()), name
        assert reach.everywhere - reach.residency == {"US"}, name
        assert "US" in facts.control(endpoint(facts, name)), name


def test_annulling_the_framework_hits_european_regions_and_no_european_vendor() -> None:
    book = shipped().without("adequacy/eu-us-dpf").without("adequacy/eu-us-dpf-hr")
    before, after = on(WRITTEN), on(WRITTEN, book=book)

    def open_ones(facts: FactBase) -> set[str]:
        return {
            row.name
            for row in facts.targets
            if row.kind == "endpoint" and row.processor and not facts.transfer("eu-gdpr", EMAIL, row).uncovered
        }

    lost = open_ones(before) - open_ones(after)
    assert {"bedrock-us", "bedrock-eu", "bedrock-eu-central-1", "vertex-eu", "vertex-us", "azure-us-datazone"} <= lost
    assert open_ones(after) >= {"mistral-eu", "ovhcloud", "scaleway", "bedrock-eusc-de-east-1"}
    assert open_ones(before).isdisjoint(
        {"anthropic", "anthropic-us", "openai-us", "openai-eu", "deepseek", "bedrock-apac"}
    )


def test_control_is_the_parents_too() -> None:
    facts = on(WRITTEN)
    assert facts.control(endpoint(facts, "mistral-eu")) == {"FR"}
    assert facts.control(endpoint(facts, "ovhcloud")) == {"FR"}
    assert facts.control(endpoint(facts, "bedrock-eusc-de-east-1")) == {"DE", "US"}
    assert "CN" in facts.control(endpoint(facts, "qwen-sg"))
    assert "unknown" not in facts.control(endpoint(facts, "qwen-sg"))
    github = facts.target("forge", "ghe-eu")
    assert github is not None
    assert facts.control(github) == {"US"}


def test_a_vendor_that_is_bought_changes_control_and_not_reach() -> None:
    bought = parse_facts(
        {
            "schema_version": 2,
            "processor": [
                {"name": "Mistral AI", "legal_entity": "Mistral AI", "seat": "FR", "parents": ["Microsoft Corporation"],
                 **GIVEN}
            ],
        }
    )  # fmt: skip
    before, after = on(WRITTEN), on(WRITTEN, book=shipped().overlaid_with(bought))
    assert after.control(endpoint(after, "mistral-eu")) == {"FR", "US"}
    assert after.reach(endpoint(after, "mistral-eu")) == before.reach(endpoint(before, "mistral-eu"))


def test_provenance_goes_with_the_weights_and_not_with_the_place() -> None:
    facts = on(WRITTEN)
    assert endpoint(facts, "qwen-sg").weights_from == ("CN",)
    assert endpoint(facts, "deepseek").weights_from == ("CN",)
    assert endpoint(facts, "mistral-us").weights_from == ("FR",)


def test_names_of_things_are_not_covered_where_contents_are() -> None:
    facts = on(WRITTEN)
    slack = facts.target("chat", "slack-de")
    assert slack is not None
    assert {"file_names", "channel_topic", "title"} <= set(slack.uncovered_surfaces)
    assert facts.reach(slack).storage == {"DE", "FR"}
    assert "unknown" in facts.reach(slack).processing
    assert "structured_output_schema" in endpoint(facts, "openai-eu").uncovered_surfaces
    montreal = facts.target("chat", "slack-ca")
    assert montreal is not None
    assert {"CA", "CA-QC"} <= facts.reach(montreal).storage


def test_a_registry_of_packages_can_be_anywhere_and_belong_to_anyone() -> None:
    facts = on(WRITTEN)
    index = facts.target("host", "host:package-registry")
    assert index is not None
    assert "anywhere" in facts.reach(index).everywhere
    assert facts.control(index) == {"unknown"}
