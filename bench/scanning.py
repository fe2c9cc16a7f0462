"""What the scanner finds of a corpus it was not written for, what it finds that is not there, and what that costs."""

import json
import re
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.measuring import Figure, Machine, rounds
from greylag.governance.scanning import Scanner, parse_rules

_ROOT = Path(__file__).parents[1]
_CORPUS = _ROOT / "bench" / "corpora" / "scanner.jsonl"
_SIZE = 100_000


@dataclass(frozen=True, slots=True)
class Score:
    """How one rule did: lines it had to find something in, of those found, and lines it should not have."""

    lines: int
    found: int
    wrong: int
    others: int

    @property
    def recall(self) -> float:
        """The share of its lines that were found, 0 … 1."""
        return self.found / self.lines if self.lines else 1.0

    @property
    def false_rate(self) -> float:
        """The share of all other lines in which it found something, 0 … 1."""
        return self.wrong / self.others if self.others else 0.0


def shipped_scanner() -> Scanner:
    """Return the scanner of the shipped rules."""
    files = sorted((_ROOT / "policies" / "scanners").glob("*.toml"))
    return Scanner(parse_rules(*(tomllib.loads(file.read_text(encoding="utf-8")) for file in files)))


def scores(scanner: Scanner) -> dict[str, Score]:
    """Return how each rule did. Two rules with one ``token`` look for the same thing: either may find it."""
    words = {rule.id: rule.token for rule in scanner.rules}
    total, lines, found, wrong = 0, Counter[str](), Counter[str](), Counter[str]()
    for line in _CORPUS.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        total += 1
        seen = {each.rule for each in scanner.scan(record["text"]).found}
        expected = {words[rule] for rule in record["expect"]}
        for rule in record["expect"]:
            lines[rule] += 1
            found[rule] += words[rule] in {words[each] for each in seen}
        for rule in seen:
            wrong[rule] += words[rule] not in expected
    return {rule: Score(lines[rule], found[rule], wrong[rule], total - lines[rule]) for rule in words}


def measure_scanning(machine: Machine, quick: bool) -> list[Figure]:
    """Time 100 KB of code, beside one search of one pattern; and recall and false finds over the corpus."""
    scanner = shipped_scanner()
    code = "".join(file.read_text(encoding="utf-8") for file in sorted((_ROOT / "src").rglob("*.py")))[:_SIZE]
    body = json.dumps(
        {"messages": [{"role": "user", "content": code[at : at + 4_000]} for at in range(0, _SIZE, 4_000)]}
    )
    prompt, pattern = body.encode(), re.compile(r"(?<!\w)\d{3}-\d{2}-\d{4}(?!\w)")
    taken = rounds(machine, 3 if quick else 15, {
        "text": _milliseconds(lambda: scanner.scan(code)), "json": _milliseconds(lambda: scanner.scan_json(prompt)),
        "one": _milliseconds(lambda: pattern.findall(code)),
    })  # fmt: skip
    every = scores(scanner)
    lines, found = sum(each.lines for each in every.values()), sum(each.found for each in every.values())
    some = next(iter(every.values()))
    wrong = 100 * sum(each.wrong for each in every.values()) / (some.lines + some.others)
    print(told(every))
    note = f"{lines} lines of {some.lines + some.others} hold something"
    return [
        Figure("scan 100 KB of code", "ms", taken["text"], "one pattern", taken["one"]),
        Figure("scan a prompt of 100 KB", "ms", taken["json"], "one pattern", taken["one"]),
        Figure("scanner misses", "%", (100 * (1 - found / lines),) * 2, "none", (0.0,) * 2, note=note),
        Figure("scanner finds what is not there", "per 100 lines", (wrong,) * 2, "none", (0.0,) * 2),
    ]


def told(every: dict[str, Score]) -> str:
    """Return a table of all rules for people."""
    lines = [f"{'rule':26} lines  found  recall  wrong"]
    lines += [
        f"{rule:26} {each.lines:5d}  {each.found:5d}  {each.recall:6.1%}  {each.wrong:5d}"
        for rule, each in every.items()
    ]
    return "\n".join(lines)


def _milliseconds(work: Callable[[], object]) -> Callable[[], float]:
    def run() -> float:
        begun = time.perf_counter()
        work()
        return (time.perf_counter() - begun) * 1000

    return run
