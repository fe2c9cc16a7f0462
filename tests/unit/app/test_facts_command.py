"""`greylag facts`: what is checked, shown, opened and closed, on a real home with real files."""

import json
import os
import threading
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from greylag.app.cli.main import app
from greylag.app.install.law.lawbook import fact_files, read_book
from greylag.app.install.law.openings import close_target, open_target
from greylag.app.settings import Settings, load_settings
from greylag.domain.errors import GreylagError, OperatorError, RequestRefused
from greylag.governance.facts import Basis, FactBook, Opening

TODAY = datetime.now(UTC).date()
OWN_ROW = """
schema_version = 2

[[target]]
kind = "endpoint"
name = "anthropic"
processor = "Anthropic PBC"
places = ["US"]
pinned = true
trains_by_default = false
source = "our contract"
retrieved = 2026-01-02
status = "in_force"
certainty = "O"
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "greylag.toml").write_text('[region]\nname = "local"\njurisdiction = "DE"\n')
    return tmp_path


def run(home: Path, *arguments: str, code: int = 0) -> Any:
    """Run a command that must end with ``code``; return its decoded JSON."""
    done = CliRunner().invoke(app, ["--home", str(home), "facts", *arguments, "--json"])
    if isinstance(done.exception, GreylagError):
        raise done.exception
    assert done.exit_code == code, (done.output, done.exception)
    return json.loads(done.stdout)


def book_of(home: Path) -> FactBook:
    return read_book(load_settings(home, {}), home, (), TODAY)


def level(home: Path, kind: str, name: str) -> str:
    found = book_of(home).as_of(TODAY, TODAY).target(kind, name)
    assert found is not None
    return found.max_level


def write(home: Path, name: str, text: str) -> Path:
    (home / "facts").mkdir(exist_ok=True)
    (home / "facts" / name).write_text(text)
    return home / "facts" / name


# The book of an install


def test_an_install_nobody_configured_has_everything_foreign_closed(tmp_path: Path) -> None:
    base = read_book(Settings(), tmp_path, (("store", "control-plane"),), TODAY).as_of(TODAY, TODAY)
    foreign = [row for row in base.targets if row.processor]
    assert len(foreign) > 30
    assert {row.max_level for row in foreign} == {"closed"}
    own = base.target("store", "control-plane")
    assert own is not None
    assert own.max_level == "restricted"
    assert base.reach(own).everywhere == {"unknown"}, "nobody said where the machine stands"
    assert base.target("endpoint", "scripted") is None


def test_the_operators_row_replaces_the_shipped_one_and_the_book_is_the_same_tomorrow(home: Path) -> None:
    own = [("store", "control-plane")]
    before = read_book(load_settings(home, {}), home, own, TODAY)
    write(home, "ours.toml", OWN_ROW)
    after = read_book(load_settings(home, {}), home, own, TODAY)
    base = after.as_of(TODAY, TODAY)
    target = base.target("endpoint", "anthropic")
    assert target is not None
    assert base.reach(target).everywhere == {"US"}
    assert after.digest() != before.digest()
    assert read_book(load_settings(home, {}), home, own, date(2099, 1, 1)).digest() == after.digest()
    past = date(2026, 1, 5)
    assert after.as_of(past, past).target("store", "control-plane") is not None, "own rows are known on every day"


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("schema_version = 2\n[[target", "GL-SETTINGS-004", "ours.toml"),
        ("schema_version = 1\n", "GL-FACTS-001", "ours.toml"),
        (OWN_ROW + "colour = 1\n", "GL-FACTS-002", "ours.toml"),
        (OWN_ROW.replace('"US"', '"zone:NOWHERE"'), "GL-FACTS-005", "'NOWHERE'"),
        (OWN_ROW.replace('"US"', '"anywhere"'), "GL-FACTS-006", "ours.toml"),
        (OWN_ROW + "x = " + "[" * 5000, "GL-SETTINGS-004", "ours.toml"),
        ("\udcff", "GL-SETTINGS-004", "ours.toml"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_name(home: Path, text: str, code: str, said: str) -> None:
    (home / "facts").mkdir()
    (home / "facts" / "ours.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(OperatorError) as refused:
        book_of(home)
    assert refused.value.code == code
    assert said in refused.value.message
    if code != "GL-FACTS-005":
        found = run(home, "lint", code=1)
        assert [each["code"] for each in found if each["severity"] == "error"] == [code]
        assert said in found[0]["file"]


def test_a_region_in_a_state_without_a_row_is_told(home: Path) -> None:
    (home / "greylag.toml").write_text('[region]\njurisdiction = "XZ"\n')
    with pytest.raises(OperatorError, match="there is no jurisdiction 'XZ'"):
        book_of(home)


# lint, stale, show


def test_the_shipped_facts_have_no_error(home: Path) -> None:
    assert not [each for each in run(home, "lint") if each["severity"] == "error"]


def test_lint_tells_every_mistake_of_a_file_at_once_and_of_no_other(home: Path) -> None:
    bad = [
        OWN_ROW.replace("schema_version = 2", "").replace('"anthropic"', f'"{name}"').replace(*change)
        for name, change in (
            ("one", ('kind = "endpoint"', 'kind = "planet"')),
            ("two", ('"US"', '"zone:EUR"')),
            ("three", ("2026-01-02", '"yesterday"')),
        )
    ]
    file = home / "mine.toml"
    file.write_text("schema_version = 2\n" + "".join(bad))
    write(home, "other.toml", OWN_ROW + "colour = 1\n")
    found = run(home, "lint", str(file), code=1)
    assert sorted(each["code"] for each in found) == ["GL-FACTS-003", "GL-FACTS-003", "GL-FACTS-005"]
    assert {each["file"] for each in found} == {str(file)}


def test_lint_of_a_file_that_is_not_there_is_told(home: Path) -> None:
    (found,) = run(home, "lint", str(home / "nowhere.toml"), code=1)
    assert found["code"] == "GL-SETTINGS-004"


def test_stale_lists_what_is_overdue(home: Path) -> None:
    write(home, "ours.toml", OWN_ROW.replace("2026-01-02", "2020-01-02\nreview_by = 2020-06-01"))
    found = {each["row"]: each for each in run(home, "stale")}
    assert found["endpoint/anthropic"]["days_overdue"] == (TODAY - date(2020, 6, 1)).days


def test_show_lists_by_beginning_and_shows_all_of_one(home: Path) -> None:
    names = [each["row"] for each in run(home, "show", "endpoint/bedrock")]
    assert "endpoint/bedrock-eu" in names
    assert all(name.startswith("endpoint/bedrock") for name in names)
    page = run(home, "show", "endpoint/bedrock-eu")
    assert "US" in page["today"]["reach"]
    assert "US" not in page["today"]["residency"]
    assert page["today"]["control"] == ["US"]
    assert page["versions"][0]["counts_today"]
    assert "DE" in run(home, "show", "zone/EU27/1958")["today"]["members"]
    with pytest.raises(RequestRefused, match="GL-CLI-020"):
        run(home, "show", "endpoint/nothing")


def test_what_nobody_checked_is_shown_so(home: Path) -> None:
    found = {each["row"]: each for each in run(home, "show", "host/")}
    assert found["host/pypi.org"]["certainty_in_words"] == "unchecked"
    done = CliRunner().invoke(app, ["--home", str(home), "facts", "show", "host/pypi.org"])
    assert "certainty: K (unchecked)" in done.stdout


# open, close


def test_a_target_is_opened_raised_and_closed_by_its_owner(home: Path) -> None:
    assert level(home, "endpoint", "bedrock-eu") == "closed"
    done = run(home, "open", "endpoint", "bedrock-eu", "--level", "internal", "--because", 'a "trial" {x} \\ ü')
    assert (done["before"], done["max_level"], done["open_up_to"]) == ("closed", "internal", "internal")
    assert level(home, "endpoint", "bedrock-eu") == "internal"
    run(home, "open", "endpoint", "bedrock-eu", "--level", "restricted", "--because", "more")
    assert level(home, "endpoint", "bedrock-eu") == "restricted"
    with pytest.raises(RequestRefused, match="GL-OPENING-003"):
        run(home, "open", "endpoint", "bedrock-eu", "--level", "public", "--because", "less")
    run(home, "open", "host", "pypi.org", "--level", "public", "--because", "packages")
    assert run(home, "close", "endpoint", "bedrock-eu")["before"] == "restricted"
    assert level(home, "endpoint", "bedrock-eu") == "closed"
    assert level(home, "host", "pypi.org") == "public"
    file = home / "facts" / "opened.toml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in file.parent.iterdir()) == [".opened.lock", "opened.toml"]
    with pytest.raises(RequestRefused, match="GL-OPENING-006"):
        run(home, "close", "endpoint", "bedrock-eu")


def test_the_reason_is_kept_as_it_was_given(home: Path) -> None:
    why = 'a "trial" {region} {{ }} \\n \u2028ü🙂'.replace("\u2028", "")
    run(home, "open", "host", "pypi.org", "--level", "public", "--because", why)
    (row,) = book_of(home).versions("opening/host/pypi.org")
    assert row.basis.note == why
    assert row.basis.certainty == "O"


def test_what_was_open_on_an_earlier_day_stays_on_record(home: Path) -> None:
    def basis(day: date, status: str) -> Basis:
        return Basis("a test", day, status, "O", note="because")

    write(home, "ours.toml", OWN_ROW.replace("2026-01-02", "2020-01-02"))
    what = ("endpoint", "anthropic")
    days = [date(2020, 3, 1), date(2020, 4, 1), date(2020, 5, 1)]
    open_target(home, book_of(home), Opening(*what, "public", basis(days[0], "in_force")))
    close_target(home, book_of(home), *what, basis(days[1], "withdrawn"))
    open_target(home, book_of(home), Opening(*what, "internal", basis(days[2], "in_force")))
    book = book_of(home)
    levels = []
    for day in (date(2020, 2, 1), *days):
        target = book.as_of(days[2], day).target(*what)
        levels.append(target.max_level if target is not None else "unknown")
    assert levels == ["closed", "public", "closed", "internal"]


def test_a_clock_that_was_set_back_does_not_keep_the_platform_from_starting(home: Path) -> None:
    day = date(2020, 3, 1)
    late = [OWN_ROW.replace("2026-01-02", each) for each in ("2026-01-02", "2026-02-02", "2019-01-01")]
    write(home, "ours.toml", late[0] + "".join(each.replace("schema_version = 2", "") for each in late[1:]))
    book = read_book(load_settings(home, {}), home, (), day)
    counts = book.as_of(day, day).row("endpoint/anthropic")
    assert counts is not None
    assert (counts.basis.known_from, counts.basis.retrieved) == (day, date(2026, 2, 2)), "the one known last"
    assert len(book.versions("endpoint/anthropic")) == 2


@pytest.mark.parametrize(
    ("kind", "name", "asked", "why", "code"),
    [
        ("endpoint", "bedrok-eu", "internal", "x", "001"),
        ("planet", "x", "internal", "x", "001"),
        ("endpoint", "", "internal", "x", "001"),
        ("environment", "environment:prod", "internal", "x", "001"),
        ("endpoint", "bedrock-eu", "secret", "x", "002"),
        ("endpoint", "bedrock-eu", "closed", "x", "002"),
        ("endpoint", "bedrock-eu", "internal", " ", "002"),
        ("endpoint", "bedrock-eu", "internal", "x" * 501, "002"),
        ("endpoint", "bedrock-eu", "internal", "two\nlines", "002"),
        ("endpoint", "bedrock-eu", "internal", "\udcff", "002"),
        ("pool", "pool:local", "internal", "x", "003"),
    ],
)
def test_what_cannot_be_opened_is_refused_and_nothing_is_written(
    home: Path, kind: str, name: str, asked: str, why: str, code: str
) -> None:
    with pytest.raises(RequestRefused) as refused:
        run(home, "open", kind, name, "--level", asked, "--because", why)
    assert refused.value.code == f"GL-OPENING-{code}"
    assert refused.value.remedy
    assert not (home / "facts").exists()


def test_a_near_name_is_told(home: Path) -> None:
    with pytest.raises(RequestRefused, match="bedrock-eu"):
        run(home, "open", "endpoint", "bedrok-eu", "--level", "public", "--because", "x")


def test_only_the_owner_of_the_home_opens(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(home).st_uid + 1)
    with pytest.raises(OperatorError, match="GL-OPENING-004"):
        run(home, "open", "host", "pypi.org", "--level", "public", "--because", "x")
    assert not (home / "facts").exists()


def test_there_must_be_a_home(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="GL-OPENING-004"):
        run(tmp_path / "nowhere", "open", "host", "pypi.org", "--level", "public", "--because", "x")
    assert not (tmp_path / "nowhere").exists()


def test_rows_written_by_hand_are_not_lost(home: Path) -> None:
    write(home, "opened.toml", OWN_ROW)
    with pytest.raises(OperatorError, match="GL-OPENING-005"):
        run(home, "open", "host", "pypi.org", "--level", "public", "--because", "x")
    assert (home / "facts" / "opened.toml").read_text() == OWN_ROW


def test_an_opening_in_another_file_is_closed_there(home: Path) -> None:
    run(home, "open", "host", "pypi.org", "--level", "public", "--because", "x")
    (home / "facts" / "opened.toml").rename(home / "facts" / "mine.toml")
    assert level(home, "host", "pypi.org") == "public"
    with pytest.raises(RequestRefused, match="GL-OPENING-006"):
        run(home, "close", "host", "pypi.org")
    assert level(home, "host", "pypi.org") == "public"


def test_the_openings_speak_last(home: Path) -> None:
    for name in ("zz.toml", "opened.toml", "aa.toml", ".hidden.toml", "note.txt"):
        write(home, name, "schema_version = 2\n")
    assert [path.name for path in fact_files(home)] == ["aa.toml", "zz.toml", "opened.toml"]


def test_two_who_open_at_once_are_both_kept(home: Path) -> None:
    book = book_of(home)
    names = [row.name for row in book.as_of(TODAY, TODAY).targets if row.kind == "endpoint" and row.processor][:8]
    basis = Basis("a test", TODAY, "in_force", "O", note="at once")
    threads = [
        threading.Thread(target=open_target, args=(home, book, Opening("endpoint", name, "public", basis)))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {level(home, "endpoint", name) for name in names} == {"public"}
