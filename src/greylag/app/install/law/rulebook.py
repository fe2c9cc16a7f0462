"""The shipped packs, and an operator's own, to be listed, read and tried. Needs no running platform."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from greylag.app.install.clock import SystemClock
from greylag.app.install.law.lawbook import read_book, read_pack, read_packs, shipped_library
from greylag.app.install.shipped import shipped
from greylag.app.settings import Settings
from greylag.domain.errors import GreylagError, OperatorError, RequestRefused
from greylag.governance.explanation import matrix
from greylag.governance.explanation.evidence import row_use
from greylag.governance.explanation.matrix import stages_of
from greylag.governance.facts import FactBook
from greylag.governance.facts.values import STATUSES
from greylag.governance.policy import Pack, check_examples, moved_examples
from greylag.governance.policy.examples import parse_examples
from greylag.governance.question import Verdict


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of one pack's examples."""

    pack: str
    examples: int
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shifted:
    """An example that is answered otherwise over changed facts, both answers in words."""

    pack: str
    title: str
    before: str
    after: str


def shipped_packs() -> tuple[Pack, ...]:
    """Return every pack that came with this program, whatever its status, by name."""
    folders = sorted(path for path in shipped("policies", "packs").iterdir() if path.is_dir())
    return tuple(read_pack(folder) for folder in folders)


def active_names(settings: Settings) -> frozenset[str]:
    """Return the names of the packs that decide in this install."""
    return frozenset(pack.name for pack in read_packs(settings.policy_packs))


def stage_rules(settings: Settings) -> list[dict[str, Any]]:
    """Return for each stage which rules of the packs that decide here apply."""
    return [
        {
            "stage": str(each.stage), "permits": list(each.permits),
            "forbids": [{"pack": pack, "rules": list(ids)} for pack, ids in each.forbids],
        }
        for each in matrix(read_packs(settings.policy_packs))
    ]  # fmt: skip


def rule_document(settings: Settings, home: Path, rule_id: str) -> dict[str, Any]:
    """Return one rule of any shipped pack. Raises RequestRefused ``GL-EXPLAIN-003`` where there is none of that id."""
    packs = shipped_packs()
    found = next(((pack, rule) for pack in packs for rule in pack.rules if rule.rule_id == rule_id), None)
    if found is None:
        near = [rule.rule_id for pack in packs for rule in pack.rules if rule_id and rule_id in rule.rule_id][:8]
        raise RequestRefused(
            "GL-EXPLAIN-003", f"no pack has a rule {rule_id[:80]!r}.",
            f"{'nearest: ' + ', '.join(near) + '; ' if near else ''}`greylag policy list --json` names them all.",
        )  # fmt: skip
    pack, rule = found
    today = SystemClock().now().date()
    book = read_book(settings, home, own=(), today=today)
    facts = book.as_of(today, today)
    return {
        "rule_id": rule.rule_id, "pack": pack.name, "pack_title": pack.title, "effect": rule.effect,
        "reason": rule.reason, "clause": rule.clause, "zones": list(rule.zones),
        "stages": sorted(str(stage) for stage in stages_of(pack.policies[rule_id])),
        "obligations": [str(each) for each in rule.obligations], "remedies": list(rule.remedies),
        "no_remedy": rule.no_remedy,
        "laws": [_plain(asdict(row_use(f"law/{name.removeprefix('law/')}", facts, book))) for name in rule.law],
        "text": _text_of(pack.policy_text, rule_id),
    }  # fmt: skip


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value if value is None or isinstance(value, bool) else str(value) for name, value in values.items()}


def _text_of(policy_text: str, rule_id: str) -> str:
    """Return the source of one rule: from its ``@id`` to the next one's, without the remarks between the two."""
    start = policy_text.find(f'@id("{rule_id}")')
    end = policy_text.find("@id(", start + 1)
    lines = policy_text[start : end if end > 0 else len(policy_text)].splitlines()
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("//")):
        lines.pop()
    return "\n".join(lines)


def check_packs(names: Sequence[str]) -> list[Checked]:
    """Ask every example of the named packs (shipped by name, own by folder); none named: of all that are shipped.

    What a pack can't be read for is a failure of that pack. Raises OperatorError ``GL-POLICY-024`` for a name that is
    neither.
    """
    known = {path.name: path for path in sorted(shipped("policies", "packs").iterdir()) if path.is_dir()}
    folders = [_folder(name, known) for name in names] or list(known.values())
    library = shipped_library()
    return [_check(folder, library) for folder in folders]


def _folder(name: str, known: Mapping[str, Path]) -> Path:
    if name in known:
        return known[name]
    path = Path(name)
    if not (path / "pack.toml").is_file():
        raise OperatorError(
            "GL-POLICY-024", f"{name!r} is neither a shipped policy pack nor a folder with a `pack.toml`.",
            f"name some of: {', '.join(known)}.",
        )  # fmt: skip
    return path


def _check(folder: Path, library: Mapping[str, FactBook]) -> Checked:
    try:
        pack = read_pack(folder)
        failures = check_examples(pack, _required(pack), library)
    except GreylagError as error:
        return Checked(folder.name, 0, (f"{error.code}: {error.message} Next: {error.remedy}",))
    return Checked(pack.name, _examples(pack), tuple(failures))


def _examples(pack: Pack) -> int:
    found = pack.examples.get("example")
    return len(found) if isinstance(found, list) else 0


def _required(pack: Pack) -> list[Pack]:
    return list(read_packs(pack.requires)) if pack.requires else []


def moved_by(row: str, status: str) -> list[Shifted]:
    """Return the examples of all shipped packs that are answered otherwise if ``row`` has ``status``; empty: is gone.

    Raises RequestRefused ``GL-EXPLAIN-004`` for a row that no example's facts hold, or a status that is none.
    """
    if status and status not in STATUSES:
        raise RequestRefused(
            "GL-EXPLAIN-004",
            f"`--status`: got/expected: {status[:40]!r}/one of {', '.join(STATUSES)}.",
            "name one of them.",
        )
    library = shipped_library()
    about = [pack for pack in shipped_packs() if parse_examples(pack, library).book.versions(row)]
    if not about:
        raise RequestRefused(
            "GL-EXPLAIN-004", f"no example rests on facts with a row {row[:120]!r}.",
            "list rows with `greylag facts show`; for an install's own decisions, run `greylag whatif`.",
        )  # fmt: skip
    found: list[Shifted] = []
    for pack in about:
        try:
            moved = moved_examples(pack, _required(pack), library, _change(row, status))
        except OperatorError as error:
            found.append(Shifted(pack.name, "every example", "asked", f"{error.code}: {error.message}"))
            continue
        found += [Shifted(each.pack, each.title, _words(each.before), _words(each.after)) for each in moved]
    return found


def _change(row: str, status: str) -> Callable[[FactBook], FactBook]:
    def change(book: FactBook) -> FactBook:
        if not status:
            return book.without(row)
        return book.replaced(*(replace(each, basis=replace(each.basis, status=status)) for each in book.versions(row)))

    return change


def _words(verdict: Verdict) -> str:
    word = "permitted" if verdict.permitted else "denied"
    until = f", until {', '.join(verdict.obligations)}" if verdict.obligations else ""
    return f"{word} by {', '.join(verdict.rules) or 'no rule'}{until}"
