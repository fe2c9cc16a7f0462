import pytest
from starlette.testclient import TestClient

import murmur
from murmur.__main__ import parse


def test_it_says_that_it_is_well_and_which_version_it_is(client):
    assert client.get("/healthz").json() == {"status": "ok", "version": murmur.__version__}


def test_an_unknown_address_is_answered_in_json(client):
    answer = client.get("/nothing-here")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_a_wrong_method_is_answered_in_json(client):
    answer = client.put("/tracks")
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "wrong_method"


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b'"text"', b"[" * 9000, b'{"tracks": ["\\ud800"]}']
)
def test_a_body_that_is_no_json_object_is_refused(client: TestClient, body):
    answer = client.post("/queues/ana/tracks", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "not_json"


def test_a_huge_body_is_refused(client):
    answer = client.post("/queues/ana/tracks", content=b" " * 70_000)
    assert answer.status_code == 413


def test_an_option_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("MURMUR_PORT", "7001")
    monkeypatch.setenv("MURMUR_DATABASE", "from-environment.db")
    assert parse([]).port == 7001
    assert parse(["--port", "7002"]).port == 7002
    assert parse(["--port", "7002"]).database == "from-environment.db"


@pytest.mark.parametrize("port", ["70000", "-1", "eighty"])
def test_a_port_that_is_none_is_refused(port, capsys):
    with pytest.raises(SystemExit):
        parse([f"--port={port}"])
    assert "from 0 to 65535" in capsys.readouterr().err
