"""The list of processors and sub-processors, and rows for a DORA register of information."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from greylag.governance.exports.activity import Activity, Use
from greylag.governance.exports.sheets import Column, Sheet, listed
from greylag.governance.facts import CLOSED, OPERATOR, FactBase, Processor, TargetFact

_COLUMNS = (
    Column("company", "its name in the facts"),
    Column("legal_entity", "with whom a contract would be"),
    Column("role", "processor: runs a target itself; sub-processor: works for one that does"),
    Column("works_for", "for a sub-processor: whom"),
    Column("targets", "what of it can be used here"),
    Column("seat", "country of its seat"),
    Column("parents", "companies that own it"),
    Column("can_be_compelled_by", "states that control it or a parent, and why"),
    Column("places", "jurisdictions it works, keeps, looks or steers from for these targets"),
    Column("certifications", "schemes it holds, by the facts"),
    Column("trains_by_default", "whether it trains on inputs unless told not to"),
    Column("retention_days", "how long it keeps inputs by itself"),
    Column("used", "yes: decisions let data go there in this period; no: only opened"),
    Column("since", "first such decision"),
    Column("last", "last such decision"),
    Column("permitted", "decisions that let data go"),
    Column("refused", "decisions that did not"),
    Column("facts", "the rows behind this"),
)


@dataclass(frozen=True, slots=True)
class Supply:
    """One target of a company as it is used here."""

    target: TargetFact
    uses: tuple[Use, ...]

    @property
    def permitted(self) -> int:
        """How many decisions let data go there."""
        return sum(use.permitted for use in self.uses)


def supplies(activity: Activity, facts: FactBase) -> tuple[Supply, ...]:
    """Return the companies' targets that are opened or were asked about, with what was asked."""
    used: dict[TargetFact, list[Use]] = {}
    for use in activity.uses:
        row = facts.target(use.target.kind, use.target.name)
        if row is not None and row.processor and use.moved:
            used.setdefault(row, []).append(use)
    opened = [row for row in facts.targets if row.processor and row.max_level != CLOSED and row not in used]
    every = [*((row, tuple(uses)) for row, uses in used.items()), *((row, ()) for row in opened)]
    return tuple(Supply(row, uses) for row, uses in sorted(every, key=lambda each: each[0].row))


def sub_processor_list(activity: Activity, facts: FactBase) -> Sheet:
    """Return one row for each company in one role: those data went to, those opened, and those who work for them."""
    direct: dict[str, list[Supply]] = {}
    indirect: dict[tuple[str, str], list[Supply]] = {}
    for supply in supplies(activity, facts):
        direct.setdefault(supply.target.processor, []).append(supply)
        for sub in supply.target.sub_processors:
            indirect.setdefault((sub, supply.target.processor), []).append(supply)
    rows = [_row(name, "processor", "", found, facts) for name, found in sorted(direct.items())]
    rows += [_row(sub, "sub-processor", name, found, facts) for (sub, name), found in sorted(indirect.items())]
    strangers = sorted({
        f"{use.target.kind} {use.target.name}" for use in activity.uses
        if use.moved and use.permitted and facts.target(use.target.kind, use.target.name) is None
    })  # fmt: skip
    notes = ["Sub-processors are those the facts name; a company may have others that no source here states."]
    if strangers:
        notes.append(f"Nobody is known who runs: {listed(strangers)}.")
    return Sheet("sub-processors", "Processors and sub-processors", _COLUMNS, tuple(rows), tuple(notes))


def _row(name: str, role: str, works_for: str, found: Sequence[Supply], facts: FactBase) -> tuple[str, ...]:
    company = facts.processor(name)
    uses = [use for supply in found for use in supply.uses]
    went = [use for use in uses if use.permitted]
    reach = [facts.reach(supply.target) for supply in found]
    by_sub = {code for each in reach for who, codes in each.by_sub_processor if who == name for code in codes}
    places = by_sub if works_for else {code for each in reach for code in each.everywhere}
    trains = {_yes(supply.target.trains_by_default) for supply in found}
    days = {supply.target.retention_days for supply in found}
    own = role == "processor"
    return (
        name, company.legal_entity if company else "unknown", role, works_for,
        listed([f"{each.target.kind} {each.target.name}" for each in found]), company.seat if company else "unknown",
        listed(company.parents) if company else "unknown", _compelled(name, facts), listed(places) or "unknown",
        listed(facts.certifications(name)) or "none", listed(trains) if own else "see the processor",
        listed({"unknown" if each is None else str(each) for each in days}) if own else "see the processor",
        "yes" if went else "no", min((use.first for use in went), default=""),
        max((use.last for use in went), default=""), str(sum(use.permitted for use in uses)),
        str(sum(use.refused for use in uses)),
        listed({each.target.row for each in found} | ({company.row} if company else set())),
    )  # fmt: skip


def _yes(value: bool | None) -> str:
    return "unknown" if value is None else "yes" if value else "no"


def _compelled(name: str, facts: FactBase) -> str:
    states: dict[str, set[str]] = {}
    for company in _family(name, facts):
        states.setdefault(company.seat, set()).add(f"seat of {company.name}")
        for control in company.controlled_by:
            states.setdefault(control.country, set()).add(control.basis)
    states.pop(OPERATOR, None)
    return listed([f"{code}: {', '.join(sorted(why))}" for code, why in states.items()]) or "unknown"


def _family(name: str, facts: FactBase) -> Iterator[Processor]:
    """Yield a company and those that own it, each once."""
    seen: set[str] = set()
    left = [name]
    while left:
        company = facts.processor(left.pop())
        if company is not None and company.name not in seen:
            seen.add(company.name)
            left += company.parents
            yield company


def _columns(*cells: tuple[str, str, bool]) -> tuple[Column, ...]:
    return tuple(Column(name, meaning, filled) for name, meaning, filled in cells)


_PROVIDERS = _columns(
    ("RT.05.01.0010", "identification code of the ICT third-party service provider (LEI, EUID)", False),
    ("RT.05.01.0020", "type of code", False),
    ("RT.05.01.0050", "legal name", True),
    ("RT.05.01.0070", "type of person", True),
    ("RT.05.01.0080", "country of the headquarters", True),
    ("RT.05.01.0090", "currency of the annual expense", False),
    ("RT.05.01.0100", "total annual expense", False),
    ("RT.05.01.0110", "identification code of the ultimate parent", False),
    ("greylag.company", "the company's name in the facts", True),
    ("greylag.ultimate_parents", "parents by the facts; their codes are not known here", True),
)
_SERVICES = _columns(
    ("RT.02.02.0010", "contractual arrangement reference number", False),
    ("RT.02.02.0020", "LEI of the entity making use of the service", False),
    ("RT.02.02.0030", "identification code of the provider", False),
    ("RT.02.02.0050", "function identifier", False),
    ("RT.02.02.0060", "type of ICT services", False),
    ("RT.02.02.0070", "start date of the contract", False),
    ("RT.02.02.0080", "end date of the contract", False),
    ("RT.02.02.0120", "country of the governing law of the contract", False),
    ("RT.02.02.0130", "country of provision of the ICT services", True),
    ("RT.02.02.0140", "storage of data (yes or no)", True),
    ("RT.02.02.0150", "location of the data at rest", True),
    ("RT.02.02.0160", "location of management of the data (processing)", True),
    ("RT.02.02.0170", "sensitiveness of the data", True),
    ("RT.02.02.0180", "level of reliance", False),
    ("greylag.company", "the company's name in the facts", True),
    ("greylag.target", "what of it is used", True),
    ("greylag.permitted", "decisions that let data go there in this period", True),
)
_CHAIN = _columns(
    ("RT.05.02.0010", "contractual arrangement reference number", False),
    ("RT.05.02.0020", "type of ICT services", False),
    ("RT.05.02.0030", "identification code of the provider", False),
    ("RT.05.02.0050", "rank in the supply chain", True),
    ("RT.05.02.0060", "identification code of the recipient of the sub-contracted service", False),
    ("greylag.company", "the company's name in the facts", True),
    ("greylag.recipient", "for whom it works", True),
    ("greylag.target", "for what", True),
)
_DORA_NOTES = (
    "Column numbers follow the templates of Implementing Regulation (EU) 2024/2956; check them against the version you"
    " report with. Contracts, LEIs, expenses, functions and reliance are not known here: those cells are empty.",
    "One row for each country, as the register asks; `any` and `unknown` are no country and stand so, to be settled.",
)
#: Level of the label → the register's sensitiveness (low, medium, high).
_SENSITIVE = {"public": "Low", "internal": "Low", "confidential": "Medium", "restricted": "High"}


def dora_sheets(activity: Activity, facts: FactBase) -> tuple[Sheet, ...]:
    """Return rows for the templates RT.05.01, RT.02.02 and RT.05.02 about the companies data went to.

    Only what the platform knows is filled; `Column.filled` says which columns never are.
    """
    used = [supply for supply in supplies(activity, facts) if supply.permitted]
    names = sorted(
        {each.target.processor for each in used} | {sub for each in used for sub in each.target.sub_processors}
    )
    providers = [_provider(name, facts) for name in names]
    services = [row for supply in used for row in _service(supply, facts)]
    chain = [row for supply in used for row in _chain(supply)]
    return (
        Sheet("dora-RT.05.01", "ICT third-party service providers", _PROVIDERS, tuple(providers), _DORA_NOTES),
        Sheet("dora-RT.02.02", "Contractual arrangements: services", _SERVICES, tuple(services), _DORA_NOTES),
        Sheet("dora-RT.05.02", "ICT service supply chains", _CHAIN, tuple(chain), _DORA_NOTES),
    )


def _provider(name: str, facts: FactBase) -> tuple[str, ...]:
    company = facts.processor(name)
    tops = [each.name for each in _family(name, facts) if not each.parents and each.name != name]
    return (
        "", "", company.legal_entity if company else "unknown", "Legal person" if company else "unknown",
        company.seat if company else "unknown", "", "", "", name, listed(tops),
    )  # fmt: skip


def _service(supply: Supply, facts: FactBase) -> Iterable[tuple[str, ...]]:
    reach = facts.reach(supply.target)
    level = max((use.label for use in supply.uses if use.permitted), key=lambda label: label.rank).level
    where = f"{supply.target.kind} {supply.target.name}"
    places = sorted({*reach.processing, *reach.storage})
    keeps = "No" if supply.target.retention_days == 0 else "Yes"
    for code in places:
        stored = code if code in reach.storage and keeps == "Yes" else ""
        worked = code if code in reach.processing else ""
        yield (
            "", "", "", "", "", "", "", "", worked or stored, keeps, stored, worked, _SENSITIVE[level], "",
            supply.target.processor, where, str(supply.permitted),
        )  # fmt: skip


def _chain(supply: Supply) -> Iterable[tuple[str, ...]]:
    target = supply.target
    where = f"{target.kind} {target.name}"
    yield ("", "", "", "1", "", target.processor, OPERATOR, where)
    for sub in target.sub_processors:
        yield ("", "", "", "2", "", sub, target.processor, where)
