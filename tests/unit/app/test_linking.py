"""The page on which somebody says that a chat account is theirs, and the operator's list, over HTTP."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from greylag.app.settings import Settings
from greylag.app.web.application import create_app
from greylag.domain.repository import Person
from tests.support.front_stage import SOURCE, Scene, make_template, opened_scene

OPERATOR = "operator-token"
NEW = "UNEW"
HERE = "http://127.0.0.1:8421"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    template = tmp_path / "template"
    template.mkdir()
    made = opened_scene(tmp_path, make_template(template))
    yield made
    made.close()


@pytest.fixture
def site(scene: Scene) -> TestClient:
    """The real application around the parts that these pages touch."""
    platform = SimpleNamespace(
        settings=Settings(), cell=scene.cell, directory=scene.stores.directory, operator_token=OPERATOR,
        links=scene.links, chats=SimpleNamespace(events=None), desk=scene.desk,
    )  # fmt: skip
    app = create_app(cast(Any, platform), cast(Any, SimpleNamespace()))
    return TestClient(app, base_url=HERE, follow_redirects=False)


def path_for(scene: Scene, author: str = NEW, name: str = "New <b>One</b>\u202e") -> str:
    return scene.links.address_for(SOURCE, author, name).removeprefix("https://greylag.example")


def sign_in(site: TestClient, person: str) -> None:
    site.cookies.clear()
    answer = site.post("/login", data={"token": f"token-{person}"}, headers={"origin": HERE})
    assert answer.status_code == 303


def confirm(site: TestClient, path: str, mine: str, origin: str = HERE) -> Any:
    return site.post(path, data={"mine": mine}, headers={"origin": origin})


def test_the_page_shows_who_would_become_whom_and_a_click_makes_it_so(scene: Scene, site: TestClient) -> None:
    path = path_for(scene)
    sign_in(site, "lin")
    shown = site.get(path)
    assert shown.status_code == 200
    for each in (NEW, SOURCE, "lin", "New &lt;b&gt;One&lt;/b&gt;"):
        assert each in shown.text
    assert "<b>One" not in shown.text
    assert "\u202e" not in shown.text
    assert scene.stores.chats.person(SOURCE, NEW) is None, "looking does nothing"
    done = confirm(site, path, "lin")
    assert done.status_code == 200
    assert "is known there now" in done.text
    known = scene.stores.chats.person(SOURCE, NEW)
    assert known is not None
    assert (known.person, known.via) == ("lin", "link")
    assert site.get(path).status_code == 410
    assert confirm(site, path, "lin").status_code == 410


def test_who_is_not_signed_in_signs_in_first_and_comes_back(scene: Scene, site: TestClient) -> None:
    path = path_for(scene)
    sent = site.get(path)
    assert sent.headers["location"] == f"/login?next={quote(path)}"
    form = site.get(sent.headers["location"])
    assert path in form.text
    back = site.post("/login", data={"token": "token-lin", "wanted": path}, headers={"origin": HERE})
    assert (back.status_code, back.headers["location"]) == (303, path)
    assert scene.stores.chats.person(SOURCE, NEW) is None


def test_nobody_is_linked_without_being_signed_in(scene: Scene, site: TestClient) -> None:
    assert confirm(site, path_for(scene), "lin").status_code == 401
    assert scene.stores.chats.person(SOURCE, NEW) is None


def test_a_form_of_another_site_links_nobody(scene: Scene, site: TestClient) -> None:
    path = path_for(scene)
    sign_in(site, "lin")
    refused = confirm(site, path, "lin", origin="https://evil.example")
    assert (refused.status_code, "GL-WEB-002" in refused.text) == (403, True)
    assert scene.stores.chats.person(SOURCE, NEW) is None


def test_who_changed_in_between_confirms_nothing(scene: Scene, site: TestClient) -> None:
    """The page was shown to one person, and another is signed in when the button is pressed."""
    path = path_for(scene)
    sign_in(site, "grace")
    refused = confirm(site, path, "lin")
    assert (refused.status_code, "GL-LINK-008" in refused.text) == (400, True)
    assert scene.stores.chats.person(SOURCE, NEW) is None


@pytest.mark.parametrize("code", ["x" * 20, "a" * 40 + "." + "b" * 43, "<script>", "a" * 5000 + "." + "b" * 43, "x.y"])
def test_what_is_no_link_shows_an_error(scene: Scene, site: TestClient, code: str) -> None:
    sign_in(site, "lin")
    assert site.get(f"/link/{code}").status_code in (400, 404, 422)
    assert "<script>" not in site.get(f"/link/{code}").text


def test_an_account_of_somebody_else_is_not_taken(scene: Scene, site: TestClient) -> None:
    sign_in(site, "lin")
    refused = confirm(site, path_for(scene, "UADA"), "lin")
    assert (refused.status_code, "GL-LINK-004" in refused.text) == (409, True)
    known = scene.stores.chats.person(SOURCE, "UADA")
    assert known is not None
    assert known.person == "ada"


def test_only_an_operator_says_who_others_are(scene: Scene, site: TestClient) -> None:
    body = {"chat": SOURCE, "id": NEW, "name": "lin"}
    for token, status in (("token-lin", 403), ("nonsense", 401), (OPERATOR, 201)):
        answer = site.post("/api/v1/people/links", json=body, headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == status, answer.text
    operator = {"authorization": f"Bearer {OPERATOR}"}
    listed = site.get("/api/v1/people/links", headers=operator).json()
    (added,) = [each for each in listed if each["id"] == NEW]
    assert (added["person"], added["chat"], added["via"]) == ("lin", SOURCE, "operator")
    assert site.get("/api/v1/people/links", headers={"authorization": "Bearer token-lin"}).status_code == 403
    scene.stores.directory.add_person(Person("otto", ("auditor", "operator")), "token-otto")
    gone = site.post("/api/v1/people/links/remove", json=body, headers={"authorization": "Bearer token-otto"})
    assert gone.json()["id"] == NEW
    again = site.post("/api/v1/people/links/remove", json=body, headers=operator)
    assert (again.status_code, again.json()["code"]) == (404, "GL-LINK-006")
    unknown = site.post("/api/v1/people/links", json={**body, "name": "nobody"}, headers=operator)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "GL-PERSON-001")
