"""Records of processing activities: for a controller (GDPR Art. 30(1)) and for a processor (Art. 30(2)).

What the platform saw stands beside what only its operator can say; that is marked, never invented. No legal advice.
"""

from collections.abc import Iterable, Sequence

from greylag.domain.labels import Label
from greylag.governance.datamap import Standing, Standings
from greylag.governance.exports.activity import Activity, Use
from greylag.governance.exports.install import NOT_STATED, Install, stated
from greylag.governance.exports.sheets import Column, Sheet, listed
from greylag.governance.facts import ANYWHERE, UNKNOWN, FactBase

#: Stage → what is done there, in words a record can use.
ACTIVITIES = {
    "intake": "Taking requests from people in chat and keeping who asked",
    "placement": "Choosing where work runs",
    "checkout": "Copying source code into a sandbox",
    "context": "Putting together what an agent is told",
    "prompt": "Sending prompts to a language model",
    "tool": "Fetching packages and calling tools",
    "artifact": "Keeping requests, transcripts, reports and builds",
    "chat": "Telling people the result in chat",
    "push": "Keeping changes in version control",
    "deploy": "Releasing builds into environments",
    "trace": "Reading by people, and export of logs and traces",
    "retain": "Retention, erasure and backup",
}
MEASURES = (
    "each hop decided by policy before it happens and recorded in a signed, append-only log; content encrypted at rest"
    " with a key of its region; agents confined to sandboxes without credentials; changes approved by people"
)
_PEOPLE = "people who use the platform"
_PERSONAL = ("user", "finance", "customer")

_SHARED = (
    Column("activity", "what is done (stage of the platform)"),
    Column("repository", "whose data: the repository; empty for the platform's own"),
    Column("data_categories", "classes of personal data on the labels (Fides taxonomy)"),
    Column("data_subjects", "categories of people; the estimate is the largest that a label states"),
    Column("recipients", "who received it: targets, companies, their sub-processors"),
    Column("places", "jurisdictions where it was worked on or kept"),
    Column("third_countries", "jurisdictions outside the regime's home that the recipients reach"),
    Column("safeguards", "adequacy, agreed mechanism and assessment for these, by fact row"),
    Column("erasure", "decided retention"),
    Column("security_measures", "general description (Art. 32(1))"),
    Column("decisions", "how many decisions permitted and refused it, first and last day"),
)


def controller_record(activity: Activity, facts: FactBase, install: Install) -> Sheet:
    """Return the record of a controller, one row for each activity and repository."""
    head = (
        Column("controller", "name and contact (Art. 30(1)(a))", bool(install.controller)),
        Column("representative_and_officer", "representative, data protection officer", bool(install.officer)),
        Column("purposes", "purposes (Art. 30(1)(b))"),
    )
    who = _named(install.controller, install.contact)
    officer = _named(install.representative, install.officer)
    rows = [
        (who, officer, "changing, checking and releasing software on request", *row) for row in _rows(activity, facts)
    ]
    return Sheet(
        "ropa-controller",
        "Record of processing activities (controller)",
        (*head, *_SHARED),
        tuple(rows),
        _notes(activity),
    )


def processor_record(activity: Activity, facts: FactBase, install: Install) -> Sheet:
    """Return the record of a processor, one row for each activity, repository and customer."""
    head = (
        Column("processor", "name and contact of the processor (Art. 30(2)(a))", bool(install.controller)),
        Column("on_behalf_of", "each controller", bool(install.customers)),
        Column("officer", "data protection officer", bool(install.officer)),
    )
    who = _named(install.controller, install.contact)
    rows = [
        (who, customer, stated(install.officer), *row)
        for row in _rows(activity, facts)
        for customer in install.customers or (NOT_STATED,)
    ]
    return Sheet(
        "ropa-processor",
        "Record of processing activities (processor)",
        (*head, *_SHARED),
        tuple(rows),
        _notes(activity),
    )


def personal(label: Label) -> tuple[str, ...]:
    """Return the classes of a label that speak of people."""
    return tuple(key for key in label.classes if key.split(".", maxsplit=1)[0] in _PERSONAL)


def regimes_of(label: Label, facts: FactBase) -> tuple[str, ...]:
    """Return the regimes that follow data with ``label``: those it states, and those the facts give."""
    return tuple(sorted({*label.regimes, *facts.regimes_of(label.classes, label.origins)}))


def _named(*parts: str) -> str:
    return ", ".join(part for part in parts if part) or NOT_STATED


def _rows(activity: Activity, facts: FactBase) -> Iterable[tuple[str, ...]]:
    groups: dict[tuple[str, str], list[Use]] = {}
    for use in activity.uses:
        groups.setdefault((use.repository, use.stage), []).append(use)
    standings = Standings(facts)
    for (repository, stage), uses in sorted(groups.items()):
        went = [use for use in uses if use.permitted and use.moved]
        standing = {use.target: standings.of(use.target) for use in went}
        subjects = max(use.label.subjects for use in uses)
        categories = {key for use in uses for key in personal(use.label)}
        third, safeguards = _transfers(went, facts)
        yield (
            ACTIVITIES.get(stage, stage),
            repository,
            listed(categories) or "none labelled (who asked and who decided is on record)",
            _PEOPLE + (f"; people named in the data (about {subjects})" if subjects else ""),
            listed({_recipient(use.target.kind, use.target.name, standing[use.target]) for use in went}) or "none",
            listed({code for each in standing.values() for code in each.residency}) or "none",
            third,
            safeguards,
            _erasure(uses, activity.uses, repository),
            MEASURES,
            _counted(uses),
        )


def _recipient(kind: str, name: str, standing: Standing) -> str:
    if standing.own:
        return f"{kind} {name} (run by the operator)"
    entity = standing.legal_entity or standing.processor
    subs = f"; sub-processors {', '.join(standing.sub_processors)}" if standing.sub_processors else ""
    return f"{kind} {name} ({entity}{subs})"


def _transfers(uses: Sequence[Use], facts: FactBase) -> tuple[str, str]:
    """Return third countries and what safeguards the transfers there, over all regimes that follow the data."""
    third: set[str] = set()
    rows: set[str] = set()
    for use in uses:
        row = facts.target(use.target.kind, use.target.name)
        for regime in regimes_of(use.label, facts):
            if row is None:
                third.add(UNKNOWN)
                continue
            found = facts.transfer(regime, use.label, row)
            if found.leaves:
                third |= found.uncovered or facts.reach(row).everywhere
                rows |= {each for each in found.rows if each.startswith(("adequacy/", "mechanism/", "certification/"))}
                if found.uncovered and not found.safeguards:
                    rows.add(f"NONE for {regime}: {', '.join(sorted(found.uncovered))}")
    words = {"not known which" if code == UNKNOWN else "any" if code == ANYWHERE else code for code in third}
    return listed(words) or "none by the labels", listed(rows) or "none needed by the labels"


def _erasure(uses: Sequence[Use], every: Sequence[Use], repository: str) -> str:
    days = {use.retain_days for use in (*uses, *every) if use.repository == repository and use.retain_days is not None}
    return f"{', '.join(str(each) for each in sorted(days))} days, decided per task" if days else NOT_STATED


def _counted(uses: Sequence[Use]) -> str:
    permitted, refused = sum(use.permitted for use in uses), sum(use.refused for use in uses)
    return (
        f"{permitted} permitted, {refused} refused, {min(use.first for use in uses)[:10]} to"
        f" {max(use.last for use in uses)[:10]}"
    )


def _notes(activity: Activity) -> tuple[str, ...]:
    notes = [
        "Made from the ledger and the facts; legal basis, joint controllers and categories of people beyond those"
        " labelled are not known to the platform. Not legal advice.",
    ]
    if activity.left_out:
        notes.append(f"{activity.left_out} decisions did not fit in and are not counted; narrow the period.")
    if activity.unread:
        notes.append(f"{activity.unread} ledger entries could not be read.")
    return tuple(notes)
