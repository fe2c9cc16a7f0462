"""Writing exports: each into a file that is there whole or not at all, or a new folder where there are several."""

import json
import os
import secrets
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from greylag.app.atlas.reading import Books, Entries, Progress, Wanted, facts_of, opened, read_map
from greylag.app.install.clock import SystemClock
from greylag.app.install.keys import public_bytes
from greylag.domain.errors import OperatorError, RequestRefused
from greylag.governance.evidence import DecisionProof, envelope_bytes, sign_statement
from greylag.governance.exports import (
    Activity,
    Install,
    Period,
    Sheet,
    Subject,
    ai_act_log,
    controller_record,
    customer_statement,
    dora_sheets,
    gather,
    ocsf_events,
    openlineage_events,
    processor_record,
    sheet_csv,
    sheet_document,
    sub_processor_list,
    transfer_register,
    wanted_proofs,
)
from greylag.governance.facts import FactBase
from greylag.governance.ledger.checkpoint import parse_checkpoint
from greylag.governance.ledger.tree import leaf_hash

Made = Callable[[Activity, FactBase, Install], tuple[Sheet, ...]]
REGISTERS: dict[str, Made] = {
    "ropa": lambda activity, facts, install: (controller_record(activity, facts, install),),
    "ropa-processor": lambda activity, facts, install: (processor_record(activity, facts, install),),
    "transfers": lambda activity, facts, _: (transfer_register(activity, facts),),
    "subprocessors": lambda activity, facts, _: (sub_processor_list(activity, facts),),
    "dora": lambda activity, facts, _: dora_sheets(activity, facts),
}
LOGS = ("ai-act", "openlineage", "ocsf")


_ABOUT = frozenset({"controller", "contact", "officer", "representative", "customers"})
_LONGEST_ABOUT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Order:
    """What to export: a period, whose data, and what only the operator can say of the install."""

    period: Period
    repository: str
    about: Install

    def install(self, books: Books) -> Install:
        """Return what the export says of the install."""
        own = books.install()
        return replace(
            self.about, product=own.product, version=own.version, region=own.region, jurisdiction=own.jurisdiction
        )


def order_of(since: str, until: str, about: Path | None = None, repository: str = "") -> Order:
    """Return what is ordered. Raises RequestRefused ``GL-EXPORT-004`` for a day that is none, ``GL-EXPORT-005`` for a
    file ``about`` that can't be used.
    """  # noqa: D205
    for day in filter(None, (since, until)):
        try:
            good = date.fromisoformat(day).isoformat() == day
        except ValueError:
            good = False
        if not good:
            raise RequestRefused("GL-EXPORT-004", f"{day[:40]!r} is no day.", "write it as 2026-01-31.")
    return Order(Period(since, until), repository, _about(about) if about is not None else _NOBODY)


_NOBODY = Install("", "", "", "")


def _about(path: Path) -> Install:
    try:
        with path.open("rb") as file:
            data = tomllib.loads(file.read(_LONGEST_ABOUT_BYTES).decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _bad_about(path, str(error)) from error
    customers = data.pop("customers", [])
    odd = sorted(name for name, value in data.items() if name not in _ABOUT or not isinstance(value, str))
    if odd or not isinstance(customers, list) or not all(isinstance(each, str) for each in customers):
        raise _bad_about(path, f"`{odd[0] if odd else 'customers'}` is not one of its texts")
    return replace(_NOBODY, **data, customers=tuple(customers))


def _bad_about(path: Path, why: str) -> RequestRefused:
    return RequestRefused(
        "GL-EXPORT-005", f"{path} can't be used: {why}.",
        "write `controller`, `contact`, `officer` and `representative` as texts, `customers` as a list of texts.",
    )  # fmt: skip


def write_register(
    home: Path | None, name: str, out: Path, form: str, order: Order, progress: Progress | None = None
) -> dict[str, object]:
    """Write a register of `REGISTERS` as ``csv`` or ``json``; several sheets as CSV become a folder. Return a summary.

    Raises RequestRefused ``GL-EXPORT-001`` where ``out`` is there already, OperatorError ``GL-EXPORT-003`` where it
    can't be written.
    """
    _require_new(out)
    with opened(home) as books:
        entries = Entries(books.ledger, progress)
        activity = gather(entries, order.period, order.repository)
        facts = facts_of(books, entries.version, SystemClock().now().date())
        sheets = REGISTERS[name](activity, facts, order.install(books))
    if form == "json":
        document = {"schema_version": 1, "sheets": [sheet_document(sheet) for sheet in sheets]}
        _write(out, [json.dumps(document, indent=2, ensure_ascii=False) + "\n"])
    elif len(sheets) == 1:
        _write(out, [sheet_csv(sheets[0])])
    else:
        _make_folder(out)
        for sheet in sheets:
            _write(out / f"{sheet.name}.csv", [sheet_csv(sheet)])
    rows = {sheet.name: len(sheet.rows) for sheet in sheets}
    notes = list(dict.fromkeys(note for sheet in sheets for note in sheet.notes))
    return {"written": str(out), "rows": rows, "notes": notes, "entries": entries.next}


def write_log(
    home: Path | None, name: str, out: Path, order: Order, progress: Progress | None = None
) -> dict[str, object]:
    """Write an event log of `LOGS` as JSON lines, without holding it in memory. Raises as `write_register`."""
    _require_new(out)
    with opened(home) as books:
        install = order.install(books)
        entries = Entries(books.ledger, progress)
        if name == "ai-act":
            events = ai_act_log(entries, install, order.period)
        else:
            newest = Entries(books.ledger, start=max(0, books.ledger.size() - 1_000))
            for _ in newest:
                """Only to learn which world decided last."""
            facts = facts_of(books, newest.version, SystemClock().now().date())
            make = openlineage_events if name == "openlineage" else ocsf_events
            events = make(entries, facts, install, order.period)
        count = _write(out, (json.dumps(event, ensure_ascii=False) + "\n" for event in events))
    return {"written": str(out), "events": count, "entries": entries.next}


def write_statement(
    home: Path | None, wanted: Wanted, out: Path, order: Order, progress: Progress | None = None
) -> dict[str, object]:
    """Write the signed statement for a repository or a person. Raises as `write_register`, and ``GL-EXPORT-002``.

    The envelope opens with `greylag evidence verify FILE --key KEY`; the key is in the summary.
    """
    _require_new(out)
    subject = Subject("person", wanted.person) if wanted.person else Subject("repository", wanted.repository)
    with opened(home) as books:
        checkpoint = books.ledger.checkpoint()
        query = books.query(wanted)
        found, facts = read_map(books, query, progress)
        entries = Entries(books.ledger, progress)
        transfers = transfer_register(gather(entries, order.period, wanted.repository), facts)
        if wanted.person:  # whose transfers a person's were is not told by a register of repositories
            transfers = replace(transfers, rows=())
        statement = customer_statement(
            subject, found, transfers, order.install(books), issued_at=_now(), checkpoint=checkpoint,
            proofs=tuple(_proofs(books, wanted_proofs(found), checkpoint)),
        )  # fmt: skip
        envelope = envelope_bytes(sign_statement(statement, books.key))
        _write(out, [envelope.decode()])
        return {
            "written": str(out), "for": f"{subject.kind} {subject.name}", "copies": len(found.located),
            "public_key": public_bytes(books.key.public_key()).hex(), "size_bytes": len(envelope),
        }  # fmt: skip


def _proofs(books: Books, decisions: Iterable[tuple[str, int]], checkpoint: str) -> Iterator[DecisionProof]:
    size = parse_checkpoint(checkpoint).size
    for decision_id, index in decisions:
        if index >= size:  # decided after the checkpoint was taken
            continue
        entry = books.ledger.entries(index, 1)[0]
        path = tuple(node.hex() for node in books.ledger.inclusion_proof(index, size))
        yield DecisionProof(decision_id, index, leaf_hash(entry.body).hex(), path)


def _now() -> str:
    return SystemClock().now().isoformat(timespec="seconds").replace("+00:00", "Z")


def _require_new(out: Path) -> None:
    if out.exists():
        raise RequestRefused("GL-EXPORT-001", f"{out} is there already.", "name a new file with `--out`.")


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise _unwritable(out, error) from error


def _write(out: Path, parts: Iterable[str]) -> int:
    """Write ``parts`` to the new file ``out`` (mode 0600), and return how many they were."""
    part = out.with_name(f"{out.name}.{secrets.token_hex(6)}.part")
    count = 0
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                for text in parts:
                    file.write(text)
                    count += 1
            os.link(part, out)  # never over what came there meanwhile
        finally:
            part.unlink()
    except FileExistsError:
        raise RequestRefused("GL-EXPORT-001", f"{out} is there already.", "name a new file with `--out`.") from None
    except OSError as error:
        raise _unwritable(out, error) from error
    return count


def _unwritable(out: Path, error: OSError) -> OperatorError:
    return OperatorError("GL-EXPORT-003", f"{out} can't be written: {error.strerror}.", "name another place.")
