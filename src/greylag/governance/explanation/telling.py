"""Explanations for people and programs: one line for a chat, a page of text, plain JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime

from greylag.governance.explanation.values import Explanation, Flip, RegimeUse, RowUse, RuleUse, TargetUse
from greylag.governance.facts import row_document

MAX_LINE = 300
SCHEMA_VERSION = 1
NOTICE = "This explains what rules and facts of this install say; it is no legal advice."
_KINDS = {"alternative": "other target", "change": "change", "rule": "rule's advice", "none": "no remedy"}


def one_line(explanation: Explanation) -> str:
    """Return the explanation in one line of at most 300 characters, for a chat."""
    verdict, rules = explanation.verdict, explanation.rules
    ids = ", ".join(rule.rule_id for rule in rules[:3]) or "no rule permits it"
    ids += f" and {len(rules) - 3} more" if len(rules) > 3 else ""
    why = rules[0].reason if rules else "; ".join((*verdict.errors, *verdict.reasons))
    if verdict.permitted:
        tail = f" Would be no if: {explanation.flips[0].words}." if explanation.flips else ""
        return _cut(f"Yes ({ids}): {why}.{tail}")
    first = explanation.remedies[0]
    then = f"No remedy: {first.text}" if first.kind == "none" else f"Smallest remedy: {first.text}"
    # The reason gives way first: what to do next must be readable.
    room = max(60, MAX_LINE - len(then) - len(ids) - 12)
    return _cut(f"No ({ids}): {_cut(why, room)}. {then}.")


def _cut(text: str, limit: int = MAX_LINE) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def as_json(explanation: Explanation) -> dict[str, object]:
    """Return the explanation as plain JSON values; days are ISO 8601 texts."""
    found = _plain(explanation)
    if not isinstance(found, dict):
        raise TypeError("an explanation is a table")
    return {"schema_version": SCHEMA_VERSION, "one_line": one_line(explanation), **found, "notice": NOTICE}


def _plain(value: object) -> object:
    if isinstance(value, Flip):
        return {
            "words": value.words, "effort": value.effort, "changes": [_plain(each) for each in value.changes],
            "rows": [row_document(each) for each in value.rows],
        }  # fmt: skip
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, tuple | list | frozenset):
        return [_plain(each) for each in value]
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value) if isinstance(value, str) else value


def as_text(explanation: Explanation) -> str:
    """Return the whole explanation as lines for people."""
    question, verdict = explanation.question, explanation.verdict
    asset = question.asset
    lines = [
        f"{'PERMITTED' if verdict.permitted else 'DENIED'}: {asset.kind} ({explanation.label.level}) to"
        f" {question.target.kind} {question.target.name!r} at stage `{question.stage}` by {question.principal}"
        f" on {explanation.day.isoformat()}",
        *(f"  it could not be evaluated: {error}" for error in verdict.errors),
    ]
    if not explanation.rules:
        lines += [f"  {reason}" for reason in verdict.reasons]
    lines += [line for rule in explanation.rules for line in _rule(rule)]
    if verdict.obligations:
        lines.append(f"  open once discharged: {', '.join(verdict.obligations)}")
    lines += ["", "What would turn it", *_turning(explanation)]
    if not verdict.permitted:
        lines += ["", "What can be done, the least effort first"]
        lines += [
            f"  {number}. [{_KINDS[each.kind]}] {each.text}" for number, each in enumerate(explanation.remedies, 1)
        ]
        lines += [f"  other targets: {explanation.no_alternative}"] if explanation.no_alternative else []
    lines += ["", "The data", *_data(explanation), "", "Where it would go", *_target(explanation.target)]
    lines += ["", f"Facts it rests on (weakest certainty: {verdict.certainty or 'unknown'})"]
    lines += [f"  {line}" for row in explanation.facts for line in _fact(row)] or ["  none"]
    return "\n".join([*lines, "", f"World {verdict.policy_version}. {NOTICE}"])


def _rule(rule: RuleUse) -> Iterator[str]:
    clause = f", {rule.clause}" if rule.clause else ""
    yield f"  {rule.rule_id} ({rule.effect}, pack {rule.pack}{clause})"
    if rule.reason:
        yield f"    because {rule.reason}"
    for law in rule.laws:
        yield from (f"    {'law: ' if not number else ''}{line}" for number, line in enumerate(_fact(law)))
    if rule.obligations:
        yield f"    stands back once discharged: {', '.join(rule.obligations)}"


def _turning(explanation: Explanation) -> list[str]:
    lines = [f"  {flip.words}  (effort {flip.effort})" for flip in explanation.flips]
    cut = "" if explanation.whole else "; the search was cut short"
    if not lines:
        lines = [f"  nothing that was tried ({explanation.tried} questions, up to 3 changes at once{cut})"]
        if explanation.nearest is not None and explanation.nearest.changes:
            lines += [f"  nearest: {'; and '.join(change.words for change in explanation.nearest.changes)}"]
            lines += [f"    then still in the way: {_list(explanation.nearest.rules) or 'no rule permits it'}"]
    elif cut:
        lines.append(f"  ({explanation.tried} questions were asked{cut})")
    return lines


def _data(explanation: Explanation) -> Iterator[str]:
    label = explanation.label
    yield f"  level {label.level}; classes: {_list(label.classes)}; origins: {_list(label.origins)}"
    yield f"  derived by: {_list(label.derived_by)}" + (f"; about {label.subjects} people" if label.subjects else "")
    for regime in label.regimes:
        yield from (f"  {line}" for line in _regime(regime))


def _regime(regime: RegimeUse) -> Iterator[str]:
    why = f"{_list(regime.classes)} from {_list(regime.origins)}" if regime.classes else "it came with the label"
    yield f"under {regime.name} ({regime.title}), because: {why}"
    if not regime.spoken_for:
        yield "  no active pack speaks for it"
    if not regime.leaves:
        yield "  this way does not leave its territory"
        return
    yield f"  this way leaves its territory; without adequacy: {_list(regime.uncovered)}"
    if regime.uncovered:
        yield f"  agreed safeguards for all of these: {_list(regime.safeguards)}"
    for row in regime.rows:
        if row.table in ("adequacy", "mechanism", "certification"):
            yield from (f"  {line}" for line in _fact(row))


def _target(target: TargetUse) -> Iterator[str]:
    if not target.known:
        yield f"  nothing is known of {target.kind} {target.name!r}"
        return
    who = f"{target.processor} ({target.legal_entity or 'no row'})" if target.processor else "the operator itself"
    fixed = "fixed" if target.pinned else "not fixed"
    yield f"  {target.kind} {target.name!r}, run by {who}; place {fixed}; opened for: {target.max_level}"
    for axis in target.axes:
        named = f"  (as written: {_list(axis.names)})" if axis.names and set(axis.names) != set(axis.codes) else ""
        yield f"  {axis.name:<15} {_list(axis.codes)}{named}"
    for country, basis in target.control:
        yield f"  {country} can compel: {basis}"
    kept = "unknown" if target.retention_days is None else f"{target.retention_days} days"
    yield f"  trains on inputs: {target.trains}; keeps: {kept}; certificates: {_list(target.certifications)}"


def _fact(row: RowUse) -> Iterator[str]:
    if not row.status:
        yield f"{row.row}: {row.says}"
        return
    validity = f", valid {row.valid_from or '…'} to {row.valid_to or '…'}" if row.valid_from or row.valid_to else ""
    review = f", review by {row.review_by}{' STALE' if row.stale else ''}" if row.review_by else ""
    yield f"{row.row}: {row.says}"
    yield f"  {row.status}, certainty {row.certainty}{validity}{review}; {row.source} ({row.retrieved})"


def _list(values: Sequence[str]) -> str:
    return ", ".join(values) or "none"
