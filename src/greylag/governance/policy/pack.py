"""A pack: Cedar rules that explain themselves, the schema they are checked against, and example decisions."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import cedarpy

from greylag.domain.errors import OperatorError

#: Words that the texts of rules may use in braces; each is filled with what was asked about.
PLACEHOLDERS = frozenset(
    {
        "stage", "verb", "principal", "principal_kind", "kind", "level", "origin", "surfaces", "target", "target_kind",
        "places", "processor", "controlled_by", "max_level", "certainty", "home",
    }
)  # fmt: skip
#: Whether a pack's rules are the operator's to rely on, or only for drills.
PACK_STATUSES = ("in_force", "proposed", "withdrawn")

MAX_PACK_BYTES = 1024 * 1024
MAX_RULES = 1000

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_REMEDY = re.compile(r"remedy(_[2-9])?")
_PLACEHOLDER = re.compile(r"\{([a-z_]*)\}")
_ANNOTATIONS = frozenset({"id", "reason", "clause", "no_remedy"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One Cedar policy and what it says of itself. ``effect`` is ``permit`` or ``forbid``.

    A forbid has ``remedies``, or in ``no_remedy`` the reason why there are none.
    """

    rule_id: str
    effect: str
    reason: str
    remedies: tuple[str, ...]
    no_remedy: str
    clause: str


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack as read and checked by `parse_pack`. ``examples`` is decoded TOML, read by `check_examples`.

    ``rules`` are in the order of the text; ``policies_json`` is Cedar's JSON form, each rule keyed by its id.
    """

    name: str
    title: str
    version: str
    status: str
    policy_text: str
    schema_text: str
    rules: tuple[Rule, ...]
    policies_json: str
    examples: Mapping[str, object]


def parse_pack(
    manifest: Mapping[str, object], policy_text: str, schema_text: str, examples: Mapping[str, object] | None = None
) -> Pack:
    """Return the pack of a decoded ``pack.toml``, Cedar policy and schema texts, and decoded ``examples.toml``.

    Raises OperatorError: ``GL-POLICY-010`` manifest, ``GL-POLICY-011`` rules that can't be read, ``GL-POLICY-012`` a
    schema that can't be read, ``GL-POLICY-013`` rules that don't fit the schema, ``GL-POLICY-014`` a rule that does not
    explain itself or shares its id.
    """
    fields = _manifest(manifest)
    for text in (policy_text, schema_text):
        if len(text) > MAX_PACK_BYTES:
            raise pack_error("010", fields["name"], f"got/expected: {len(text)}/at most {MAX_PACK_BYTES} characters")
    raw = _read_policies(fields["name"], policy_text)
    _validate(fields["name"], policy_text, schema_text, raw)
    rules: dict[str, Rule] = {}
    keyed: dict[str, object] = {}
    for position, policy in raw.items():
        rule = _rule(fields["name"], position, policy)
        if rule.rule_id in rules:
            raise pack_error("014", fields["name"], f"two rules have the id `{rule.rule_id}`")
        rules[rule.rule_id] = rule
        keyed[rule.rule_id] = policy
    return Pack(
        **fields,
        policy_text=policy_text,
        schema_text=schema_text,
        rules=tuple(rules.values()),
        policies_json=json.dumps({"templates": {}, "staticPolicies": keyed, "templateLinks": []}),
        examples=dict(examples or {}),
    )


def pack_error(number: str, pack: str, what: str, remedy: str = "correct the pack's files.") -> OperatorError:
    """Return the error ``GL-POLICY-number`` about a pack."""
    return OperatorError(f"GL-POLICY-{number}", f"policy pack {pack!r}: {what}.", remedy)


def _manifest(manifest: Mapping[str, object]) -> dict[str, str]:
    name = str(manifest.get("name"))[:80]
    fields = {"name", "title", "version", "status"}
    if unknown := sorted(set(manifest) - fields - {"schema_version"}):
        raise pack_error("010", name, f"field `{unknown[0]}` of pack.toml is not known (expected: {sorted(fields)})")
    if manifest.get("schema_version") != 1 or isinstance(manifest.get("schema_version"), bool):
        raise pack_error("010", name, f"field `schema_version`: got/expected: {manifest.get('schema_version')!r}/1")
    values: dict[str, str] = {}
    for field in sorted(fields):
        value = manifest.get(field)
        if not isinstance(value, str) or not 0 < len(value) <= 200:
            raise pack_error("010", name, f"field `{field}`: got/expected: {value!r}/a text of 1 to 200 characters")
        values[field] = value
    if not _NAME.fullmatch(values["name"]):
        raise pack_error("010", name, f"field `name`: got/expected: {name!r}/lower-case words joined by `-`")
    if values["status"] not in PACK_STATUSES:
        raise pack_error("010", name, f"field `status`: got/expected: {values['status']!r}/one of {PACK_STATUSES}")
    return values


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
        if note not in _ANNOTATIONS and not _REMEDY.fullmatch(note):
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
    return Rule(rule_id, effect, notes["reason"], remedies, no_remedy, notes.get("clause", ""))
