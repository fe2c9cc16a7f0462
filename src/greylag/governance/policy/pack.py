"""A pack: Cedar rules that explain themselves, checked against the platform's schema, and example decisions."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cedarpy

from greylag.domain.errors import OperatorError
from greylag.governance.policy.obligations import Obligation, parse_obligation

#: Words that the texts of rules may use in braces; each is filled with what was asked about.
PLACEHOLDERS = frozenset(
    {
        "stage", "verb", "principal", "principal_kind", "kind", "level", "classes", "origins", "regimes", "origin",
        "surfaces", "target", "target_kind", "places", "residency", "reach", "control", "provenance", "processor",
        "max_level", "certainty", "home", "restricted",
    }
)  # fmt: skip
#: Whether a pack's rules are the operator's to rely on, or only for drills.
PACK_STATUSES = ("in_force", "proposed", "withdrawn")
#: A ``house`` pack is what an operator decided for itself, a ``law`` pack restates a body of law and only forbids.
PACK_KINDS = ("house", "law")

MAX_PACK_BYTES = 1024 * 1024
MAX_RULES = 1000
MAX_NAMES = 64
SCHEMA_VERSION = 2
ZONE_TYPE = "Greylag::Zone"

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_REMEDY = re.compile(r"remedy(_[2-9])?")
_OBLIGATION = re.compile(r"obligation(_[2-9])?")
_PLACEHOLDER = re.compile(r"\{([a-z_]*)\}")
_ANNOTATIONS = frozenset({"id", "reason", "clause", "law", "no_remedy"})
_TEXTS = frozenset({"name", "title", "version", "status", "kind"})
_LISTS = frozenset({"regimes", "requires", "conflicts_with"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One Cedar policy and what it says of itself. ``effect`` is ``permit`` or ``forbid``.

    A forbid has ``remedies``, or in ``no_remedy`` the reason why there are none. ``law`` names the fact rows it rests
    on, ``zones`` the zones it reads. ``obligations`` not empty: it no longer forbids once each of them is discharged.
    """

    rule_id: str
    effect: str
    reason: str
    remedies: tuple[str, ...]
    no_remedy: str
    clause: str
    pack: str = ""
    law: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    obligations: tuple[Obligation, ...] = ()


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack as read and checked by `parse_pack`. ``examples`` is decoded TOML, read by `check_examples`.

    ``rules`` are in the order of the text; ``policies`` is Cedar's JSON form of each, keyed by its id. ``regimes`` are
    the bodies of law it speaks for, ``requires`` and ``conflicts_with`` name packs.
    """

    name: str
    title: str
    version: str
    status: str
    kind: str
    regimes: tuple[str, ...]
    requires: tuple[str, ...]
    conflicts_with: tuple[str, ...]
    policy_text: str
    schema_text: str
    rules: tuple[Rule, ...]
    policies: Mapping[str, object]
    examples: Mapping[str, object]


def parse_pack(
    manifest: Mapping[str, object], policy_text: str, schema_text: str, examples: Mapping[str, object] | None = None
) -> Pack:
    """Return the pack of a decoded ``pack.toml``, Cedar policy text, the platform's schema, decoded ``examples.toml``.

    Raises OperatorError: ``GL-POLICY-010`` manifest, ``GL-POLICY-011`` rules that can't be read, ``GL-POLICY-012`` a
    schema that can't be read, ``GL-POLICY-013`` rules that don't fit the schema, ``GL-POLICY-014`` a rule that does not
    explain itself or shares its id, ``GL-POLICY-019`` a law pack that permits.
    """
    texts, lists = _manifest(manifest)
    name = texts["name"]
    for text in (policy_text, schema_text):
        if len(text) > MAX_PACK_BYTES:
            raise pack_error("010", name, f"got/expected: {len(text)}/at most {MAX_PACK_BYTES} characters")
    raw = _read_policies(name, policy_text)
    _validate(name, policy_text, schema_text, raw)
    rules: dict[str, Rule] = {}
    keyed: dict[str, object] = {}
    for position, policy in raw.items():
        rule = _rule(name, position, policy)
        if rule.rule_id in rules:
            raise pack_error("014", name, f"two rules have the id `{rule.rule_id}`")
        if rule.effect == "permit" and texts["kind"] == "law":
            raise pack_error(
                "019", name, f"it is a law pack, and its rule `{rule.rule_id}` permits",
                "say in a law pack what is forbidden, and in a house pack who may do what.",
            )  # fmt: skip
        rules[rule.rule_id] = rule
        keyed[rule.rule_id] = policy
    return Pack(
        name=name,
        title=texts["title"],
        version=texts["version"],
        status=texts["status"],
        kind=texts["kind"],
        regimes=lists["regimes"],
        requires=lists["requires"],
        conflicts_with=lists["conflicts_with"],
        policy_text=policy_text,
        schema_text=schema_text,
        rules=tuple(rules.values()),
        policies=keyed,
        examples=dict(examples or {}),
    )


def pack_error(number: str, pack: str, what: str, remedy: str = "correct the pack's files.") -> OperatorError:
    """Return the error ``GL-POLICY-number`` about a pack."""
    return OperatorError(f"GL-POLICY-{number}", f"policy pack {pack!r}: {what}.", remedy)


def attributes_read(value: object, variable: str) -> Iterator[str]:
    """Yield the attributes of ``variable`` (``context``, ``resource``) that a rule in Cedar's JSON form reads.

    Yields ``*`` where the variable is used otherwise than by reading an attribute of it.
    """
    if isinstance(value, Mapping):
        access = value.get(".")
        if isinstance(access, Mapping) and access.get("left") == {"Var": variable}:
            yield str(access["attr"])
            return
        test = value.get("is")
        if isinstance(test, Mapping) and test.get("left") == {"Var": variable}:
            return
        if value == {"Var": variable}:
            yield "*"
        for each in value.values():
            yield from attributes_read(each, variable)
    elif isinstance(value, list):
        for each in value:
            yield from attributes_read(each, variable)


def _manifest(manifest: Mapping[str, object]) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    name = str(manifest.get("name"))[:80]
    if unknown := sorted(set(manifest) - _TEXTS - _LISTS - {"schema_version"}):
        known = sorted(_TEXTS | _LISTS)
        raise pack_error("010", name, f"field `{unknown[0]}` of pack.toml is not known (expected: {known})")
    version = manifest.get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise pack_error("010", name, f"field `schema_version`: got/expected: {version!r}/{SCHEMA_VERSION}")
    texts: dict[str, str] = {}
    for field in sorted(_TEXTS):
        value = manifest.get(field)
        if not isinstance(value, str) or not 0 < len(value) <= 200:
            raise pack_error("010", name, f"field `{field}`: got/expected: {value!r}/a text of 1 to 200 characters")
        texts[field] = value
    if not _NAME.fullmatch(texts["name"]):
        raise pack_error("010", name, f"field `name`: got/expected: {name!r}/lower-case words joined by `-`")
    for field, allowed in (("status", PACK_STATUSES), ("kind", PACK_KINDS)):
        if texts[field] not in allowed:
            raise pack_error("010", name, f"field `{field}`: got/expected: {texts[field]!r}/one of {allowed}")
    return texts, {field: _names(name, field, manifest.get(field, [])) for field in sorted(_LISTS)}


def _names(pack: str, field: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_NAMES:
        raise pack_error("010", pack, f"field `{field}`: got/expected: {value!r}/a list of at most {MAX_NAMES} names")
    for each in value:
        if not isinstance(each, str) or not _NAME.fullmatch(each):
            raise pack_error("010", pack, f"field `{field}`: got/expected: {each!r}/lower-case words joined by `-`")
    return tuple(dict.fromkeys(value))


def _read_policies(pack: str, policy_text: str) -> dict[str, dict[str, object]]:
    try:
        parsed = json.loads(cedarpy.policies_to_json_str(policy_text))
    except (ValueError, UnicodeEncodeError) as error:
        raise pack_error("011", pack, f"its rules can't be read: {error}") from error
    if parsed["templates"] or parsed["templateLinks"]:
        raise pack_error("011", pack, "it holds templates (`?principal`), which grant nothing by themselves")
    policies = dict(parsed["staticPolicies"])
    if not 0 < len(policies) <= MAX_RULES:
        raise pack_error("011", pack, f"got/expected: {len(policies)}/1 to {MAX_RULES} rules")
    # Cedar names policies by position (`policy12`); the JSON object is not promised to be in that order.
    return dict(sorted(policies.items(), key=lambda item: int(item[0].removeprefix("policy"))))


def _validate(pack: str, policy_text: str, schema_text: str, raw: Mapping[str, Mapping[str, object]]) -> None:
    try:
        schema = cedarpy.Schema.from_str(schema_text)
    except (ValueError, UnicodeEncodeError) as error:
        raise pack_error("012", pack, f"its schema can't be read: {error}") from error
    result = cedarpy.validate_policies(policy_text, schema)
    if result.validation_passed:
        return
    details = "; ".join(f"{_name_of(raw, error.policy_id)}: {error.error}" for error in result.errors[:5])
    raise pack_error("013", pack, f"its rules do not fit its schema: {details or 'no detail given'}")


def _name_of(raw: Mapping[str, Mapping[str, object]], position: str) -> str:
    annotations = raw.get(position, {}).get("annotations")
    return f"`{annotations.get('id', position)}`" if isinstance(annotations, dict) else f"`{position}`"


def _rule(pack: str, position: str, policy: Mapping[str, object]) -> Rule:
    found = policy.get("annotations")
    notes: dict[str, str] = {k: str(v or "") for k, v in found.items()} if isinstance(found, dict) else {}
    rule_id = notes.get("id", "")
    if not _NAME.fullmatch(rule_id):
        raise pack_error("014", pack, f"rule `{position}`: got/expected: {rule_id!r}/an @id of words joined by `-`")
    for note, text in notes.items():
        if note not in _ANNOTATIONS and not _REMEDY.fullmatch(note) and not _OBLIGATION.fullmatch(note):
            raise pack_error("014", pack, f"rule `{rule_id}`: the annotation `@{note}` is not known")
        for word in _PLACEHOLDER.findall(text):
            if word not in PLACEHOLDERS:
                raise pack_error("014", pack, f"rule `{rule_id}`: got/expected: {word!r}/one of {sorted(PLACEHOLDERS)}")
    effect = str(policy["effect"])
    remedies = tuple(notes[note] for note in sorted(notes) if _REMEDY.fullmatch(note) and notes[note])
    no_remedy = notes.get("no_remedy", "")
    if not notes.get("reason"):
        raise pack_error("014", pack, f"rule `{rule_id}` has no @reason")
    if effect == "forbid" and bool(remedies) == bool(no_remedy):
        raise pack_error("014", pack, f"rule `{rule_id}` needs either @remedy, or @no_remedy with the reason why not")
    return Rule(
        rule_id=rule_id,
        effect=effect,
        reason=notes["reason"],
        remedies=remedies,
        no_remedy=no_remedy,
        clause=notes.get("clause", ""),
        pack=pack,
        law=tuple(word.strip() for word in notes.get("law", "").split(",") if word.strip()),
        zones=tuple(sorted(set(_zones(policy.get("conditions"))))),
        obligations=tuple(
            _obligation(pack, rule_id, notes[note]) for note in sorted(notes) if _OBLIGATION.fullmatch(note)
        ),
    )


def _obligation(pack: str, rule_id: str, text: str) -> Obligation:
    try:
        return parse_obligation(text)
    except ValueError as error:
        raise pack_error("014", pack, f"rule `{rule_id}`: {error}") from error


def _zones(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        entity = value.get("__entity")
        if isinstance(entity, Mapping) and entity.get("type") == ZONE_TYPE:
            yield str(entity["id"])
        for each in value.values():
            yield from _zones(each)
    elif isinstance(value, list):
        for each in value:
            yield from _zones(each)
