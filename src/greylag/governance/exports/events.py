"""What the event exports share: entries in a period, times, and names that other systems can use as ids."""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from greylag.governance.datamap import Decided, Declassified, Observed, read_entry
from greylag.governance.exports.activity import Period


def records(
    entries: Iterable[dict[str, object]], period: Period | None = None
) -> Iterator[tuple[int, Decided | Observed | Declassified]]:
    """Yield the readable entries of a period with their index in the ledger, which ``entries`` must begin at 0."""
    wanted = period or Period()
    for index, entry in enumerate(entries):
        record = read_entry(entry)
        if record is not None and wanted.holds(record.at):
            yield index, record


def moment(at: str) -> datetime:
    """Return a ledger's time; the beginning of 1970 where it is none, so that an odd entry is seen and not lost."""
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        return datetime(1970, 1, 1, tzinfo=UTC)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def milliseconds(at: str) -> int:
    """Return a ledger's time in milliseconds since 1970."""
    return int(moment(at).timestamp() * 1000)


def timestamp(at: str) -> str:
    """Return a ledger's time as RFC 3339 in UTC."""
    return moment(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def uuid_of(*names: str) -> str:
    """Return one UUID (version 8, RFC 9562 §5.8) for ``names``: the same ones give the same."""
    digest = bytearray(hashlib.sha256("\x00".join(names).encode("utf-8", "replace")).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
