"""``python -m murmur``: serve on 127.0.0.1."""

import argparse
import os
import sqlite3
import sys
from collections.abc import Sequence

import uvicorn

from murmur import __version__
from murmur.app import create_app


def port_number(text: str) -> int:
    """Return ``text`` as a TCP port, 0 for any free one."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")
    return int(text)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options; the environment fills in what is not given."""
    parser = argparse.ArgumentParser(prog="murmur", description="Serve music, on 127.0.0.1 only.")
    parser.add_argument("--version", action="version", version=f"murmur {__version__}")
    parser.add_argument(
        "--port",
        type=port_number,
        default=os.environ.get("MURMUR_PORT", "8000"),
        help="where to listen (MURMUR_PORT, 8000)",
    )
    parser.add_argument(
        "--database",
        metavar="FILE",
        default=os.environ.get("MURMUR_DATABASE", ":memory:"),
        help="where queues and playlists are kept (MURMUR_DATABASE, in memory)",
    )
    return parser.parse_args(arguments)


def main() -> None:
    """Serve until told to stop."""
    options = parse()
    try:
        app = create_app(options.database)
    except sqlite3.Error as error:
        sys.exit(f"murmur: can't use the database {options.database!r}: {error}")
    uvicorn.run(app, host="127.0.0.1", port=options.port)


if __name__ == "__main__":
    main()
