"""The register of transfers: what left the home of a body of law, on which ground, with which assessment."""

from collections.abc import Iterator, Sequence

from greylag.governance.datamap import Standings
from greylag.governance.exports.activity import Activity, Use
from greylag.governance.exports.ropa import regimes_of
from greylag.governance.exports.sheets import Column, Sheet, listed
from greylag.governance.facts import FactBase, Mechanism, Transfer
from greylag.governance.question import Target

_COLUMNS = (
    Column("regime", "the body of law that follows the data"),
    Column("repository", "whose data"),
    Column("origins", "where the data comes from, by its label"),
    Column("target", "kind and name of what it went to"),
    Column("importer", "legal entity of the recipient"),
    Column("reach", "every jurisdiction the recipient works, keeps, looks or steers from"),
    Column("restricted", "yes: some of these are neither home nor adequate"),
    Column("uncovered", "those places"),
    Column("adequacy", "adequacy rows relied on, with certificates where they need one"),
    Column("mechanism", "what is agreed: kind, module, by fact row"),
    Column("assessment", "TIA or TRA on record, its day and reviewer"),
    Column("data_categories", "classes on the labels"),
    Column("stages", "where on its way"),
    Column("permitted", "decisions that let it go"),
    Column("refused", "decisions that did not"),
    Column("first", "first decision"),
    Column("last", "last decision"),
    Column("decisions", "the first few decision ids"),
)


def transfer_register(activity: Activity, facts: FactBase) -> Sheet:
    """Return one row for each regime, repository, label and target whose reach leaves the regime's home.

    A target that no row speaks of is listed as reaching an unknown place: not knowing is no ground.
    """
    groups: dict[tuple[str, ...], list[Use]] = {}
    for use in activity.uses:
        if use.moved:
            for regime in regimes_of(use.label, facts):
                key = (regime, use.repository, use.target.kind, use.target.name, *use.label.origins)
                groups.setdefault(key, []).append(use)
    standings = Standings(facts)
    rows = [row for key, uses in sorted(groups.items()) for row in _row(key, uses, facts, standings)]
    notes = [
        "Judged by the facts of " + facts.valid.isoformat() + "; each decision was judged by those of its own day."
    ]
    if activity.left_out:
        notes.append(f"{activity.left_out} decisions did not fit in and are not counted; narrow the period.")
    return Sheet("transfers", "Register of transfers", _COLUMNS, tuple(rows), tuple(notes))


def _row(key: tuple[str, ...], uses: Sequence[Use], facts: FactBase, standings: Standings) -> Iterator[tuple[str, ...]]:
    regime, repository, kind, name = key[:4]
    target = Target(kind, name)
    standing = standings.of(target)
    found = _worst(regime, uses, facts)
    if not found.leaves:
        return
    adequacy = [row for row in found.rows if row.startswith(("adequacy/", "certification/"))]
    agreed = [
        each for each in facts.mechanisms()
        if each.row in found.rows and each.regime == regime and each.processor == standing.processor
    ]  # fmt: skip
    yield (
        regime, repository, listed(key[4:]) or "unknown", f"{kind} {name}",
        standing.legal_entity or standing.processor, listed(standing.reach),
        "yes" if found.uncovered else "no", listed(found.uncovered) or "none", listed(adequacy) or "none",
        listed([_agreed(each) for each in agreed]) or "none",
        listed([_assessed(each) for each in agreed if each.assessment]) or "none",
        listed({each for use in uses for each in use.label.classes}) or "none labelled",
        listed({use.stage for use in uses}), str(sum(use.permitted for use in uses)),
        str(sum(use.refused for use in uses)), min(use.first for use in uses), max(use.last for use in uses),
        listed([each for use in uses for each in use.decisions][:5]),
    )  # fmt: skip


def _worst(regime: str, uses: Sequence[Use], facts: FactBase) -> Transfer:
    """Return what ``regime`` says of the data that fares worst among ``uses`` (of one target)."""
    target = uses[0].target
    row = facts.target(target.kind, target.name)
    if row is None:
        return Transfer(True, frozenset({"unknown"}), (), ())
    found = [facts.transfer(regime, use.label, row) for use in uses]
    return max(found, key=lambda each: (len(each.uncovered), each.leaves))


def _agreed(each: Mechanism) -> str:
    module = f" module {each.module}" if each.module else ""
    return f"{each.kind}{module} ({each.row})"


def _assessed(each: Mechanism) -> str:
    day = each.assessed_on.isoformat() if each.assessed_on else "no day"
    return f"{each.assessment}, {day}, {each.assessed_by or 'no reviewer'}"
