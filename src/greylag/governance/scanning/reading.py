"""Reading scanner rules out of decoded TOML, with errors that name the rule, the field, got and expected."""

import re
from collections.abc import Iterable, Mapping

from greylag.domain.errors import OperatorError
from greylag.domain.labels import LEVELS
from greylag.governance.scanning.checks import CHECKS
from greylag.governance.scanning.patterns import compiled
from greylag.governance.scanning.scanner import Scanner
from greylag.governance.scanning.values import Rule, TableRule, rule_error

MAX_RULES = 500
_MAX_ITEMS = 256
_MAX_TEXT = 4_096
_ID = re.compile(r"[a-z][a-z0-9-]{1,63}")
_KEY = re.compile(r"[a-z][a-z_]*(\.[a-z][a-z_]*){0,7}")
_TOKEN = re.compile(r"[a-z]{2,12}")
_ORIGIN = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,4})?|match:(IBAN|phone)")
_NEEDED = frozenset({"id", "class", "level", "token", "examples", "counter_examples"})
_RULE = _NEEDED | {"pattern", "check", "digits", "needs", "context", "unless", "origin", "ignore"}
_TABLE = _NEEDED | {"columns", "required", "at_least"}


def parse_rules(*files: Mapping[str, object]) -> tuple[Rule | TableRule, ...]:
    """Return the rules of decoded TOML ``files``, in their order.

    Each has ``schema_version = 1`` and arrays of tables ``rule`` and ``table``. Raises OperatorError: ``GL-SCAN-001``
    shape, ``GL-SCAN-002`` unknown field, ``GL-SCAN-003`` missing or wrong value, ``GL-SCAN-004`` a pattern that could
    take too long or does not compile, ``GL-SCAN-005`` two rules with one id.
    """
    rules: list[Rule | TableRule] = []
    for data in files:
        unknown = sorted(set(data) - {"schema_version", "rule", "table"})
        if unknown or data.get("schema_version") != 1 or isinstance(data.get("schema_version"), bool):
            raise rule_error(
                "001",
                "a scanner file has `schema_version = 1` and arrays of tables `rule` and `table`;"
                f" got/expected: {unknown or data.get('schema_version')!r}/1.",
            )
        rules += [_rule(row, label) for label, row in _rows(data.get("rule", []), "rule")]
        rules += [_table(row, label) for label, row in _rows(data.get("table", []), "table")]
    ids = [rule.id for rule in rules]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise rule_error("005", f"there are two rules called `{twice[0]}`.", "give one of them another `id`.")
    if len(rules) > MAX_RULES:
        raise rule_error("001", f"there are {len(rules)} rules, at most {MAX_RULES} are allowed.")
    return tuple(rules)


def _rows(value: object, table: str) -> list[tuple[str, Mapping[str, object]]]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise rule_error("001", f"`{table}` must be an array of tables (`[[{table}]]`), got {type(value).__name__}.")
    return [(f"{table} {number} ({str(row.get('id'))[:64]!r})", row) for number, row in enumerate(value, start=1)]


def _rule(row: Mapping[str, object], label: str) -> Rule:
    _check_fields(row, _RULE, _NEEDED | {"pattern"}, label)
    source = _text(row, "pattern", label)
    try:
        pattern, width = compiled(source)
    except ValueError as error:
        raise rule_error(
            "004", f"{label}, field `pattern`: {error}.", "bound every repeat and make parts not overlap."
        ) from error
    if "needs" in row and "context" in row:
        raise _wrong(
            label, "needs", row["needs"], "nothing where there is a `context`: it can stand far from the match"
        )
    digits = row.get("digits", False)
    if not isinstance(digits, bool):
        raise _wrong(label, "digits", digits, "true or false")
    check = _text(row, "check", label, absent="")
    if check and check not in CHECKS:
        raise _wrong(label, "check", check, f"one of {', '.join(sorted(CHECKS))}")
    return Rule(
        id=_formed(row, "id", _ID, label),
        key=_formed(row, "class", _KEY, label),
        level=_level(row, label),
        pattern=pattern,
        token=_formed(row, "token", _TOKEN, label),
        width=width,
        check=check,
        digits=digits,
        needs=_lower(row, "needs", label),
        context=_lower(row, "context", label),
        unless=_lower(row, "unless", label),
        origin=_formed(row, "origin", _ORIGIN, label) if "origin" in row else "",
        ignore=_lower(row, "ignore", label),
        examples=_texts(row.get("examples"), "examples", label),
        counter_examples=_texts(row.get("counter_examples"), "counter_examples", label),
    )


def _table(row: Mapping[str, object], label: str) -> TableRule:
    _check_fields(row, _TABLE, _TABLE, label)
    columns = row["columns"]
    if not isinstance(columns, dict) or not 0 < len(columns) <= _MAX_ITEMS:
        raise _wrong(label, "columns", columns, "a table of lists of words")
    groups = tuple((name, frozenset(_texts(words, f"columns.{name}", label))) for name, words in columns.items())
    required, least = frozenset(_texts(row["required"], "required", label)), row["at_least"]
    if not required or not required <= set(columns):
        raise _wrong(label, "required", sorted(required), f"some of {', '.join(columns)}")
    if not isinstance(least, int) or not 2 <= least <= len(columns):
        raise _wrong(label, "at_least", least, f"a number from 2 to {len(columns)}")
    return TableRule(
        _formed(row, "id", _ID, label), _formed(row, "class", _KEY, label), _level(row, label),
        _formed(row, "token", _TOKEN, label), groups, required, least,
        _texts(row["examples"], "examples", label), _texts(row["counter_examples"], "counter_examples", label),
    )  # fmt: skip


def _check_fields(row: Mapping[str, object], known: Iterable[str], needed: Iterable[str], label: str) -> None:
    for name in sorted(set(row) - set(known)):
        raise rule_error("002", f"{label}: field {name[:80]!r} is not known (expected: {', '.join(sorted(known))}).")
    for name in sorted(set(needed) - set(row)):
        raise rule_error(
            "003", f"{label}, field `{name}`: got/expected: nothing/a value.", f"add `{name}` to the rule."
        )


def _text(row: Mapping[str, object], name: str, label: str, *, absent: str | None = None) -> str:
    value = row.get(name, absent)
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not (value or absent == ""):
        raise _wrong(label, name, value, f"a text of 1 to {_MAX_TEXT} characters")
    return value


def _formed(row: Mapping[str, object], name: str, form: re.Pattern[str], label: str) -> str:
    value = _text(row, name, label)
    if not form.fullmatch(value):
        raise _wrong(label, name, value, f"a text like `{form.pattern}`")
    return value


#: The least level of what holds a find, by class. How somebody is reached stands in every commit: rules about personal
#: data look at the class; the level is for what must not be known at all.
_LEAST = (
    ("user.contact", "internal"), ("user.name", "internal"), ("user.device", "internal"), ("user", "confidential"),
    ("secret", "restricted"),
)  # fmt: skip


def _level(row: Mapping[str, object], label: str) -> str:
    value = _text(row, "level", label)
    if value not in LEVELS:
        raise _wrong(label, "level", value, f"one of {', '.join(LEVELS)}")
    key = _text(row, "class", label)
    least = next((level for prefix, level in _LEAST if key == prefix or key.startswith(f"{prefix}.")), "public")
    if LEVELS.index(value) < LEVELS.index(least):
        raise _wrong(label, "level", value, f"at least `{least}` for `{key}`")
    return value


def _texts(value: object, name: str, label: str) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _MAX_ITEMS:
        raise _wrong(label, name, value, f"a list of at most {_MAX_ITEMS} texts")
    for item in value:
        if not isinstance(item, str) or not 0 < len(item) <= _MAX_TEXT:
            raise _wrong(label, name, item, f"texts of 1 to {_MAX_TEXT} characters")
    return tuple(value)


def _lower(row: Mapping[str, object], name: str, label: str) -> tuple[str, ...]:
    words = _texts(row.get(name, []), name, label)
    for word in words:
        if word != word.lower():
            raise _wrong(label, name, word, "lower case")
    return words


def _wrong(label: str, name: str, got: object, expected: str) -> OperatorError:
    shown = repr(got)
    return rule_error(
        "003", f"{label}, field `{name}`: got/expected: {shown[:120]}{'…' * (len(shown) > 120)}/{expected}."
    )


def untrue_examples(rules: Iterable[Rule | TableRule]) -> tuple[str, ...]:
    """Return a line for each example its rule alone does not find, and each counter-example it finds."""
    lines: list[str] = []
    for rule in rules:
        scanner = Scanner((rule,))
        lines += [f"`{rule.id}` does not find {each[:80]!r}" for each in rule.examples if not scanner.scan(each).found]
        lines += [f"`{rule.id}` finds {each[:80]!r}" for each in rule.counter_examples if scanner.scan(each).found]
    return tuple(lines)
