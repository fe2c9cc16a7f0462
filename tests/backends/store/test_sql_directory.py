from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from greylag.adapters.store.opening import Control
from greylag.adapters.store.port import Deployment, Spoken
from greylag.domain.errors import RequestRefused
from greylag.domain.ids import TaskId
from greylag.domain.references import Reference
from greylag.domain.repository import Environment, Person, Repository

AT = datetime(2026, 3, 4, tzinfo=UTC)
BODY = Reference("eu", f"sha256:{'a' * 64}", 12, "text", "text/plain")
ADA = Person("ada", ("requester",), "ada@example.org")


def test_people_are_added_replaced_and_listed(control: Control) -> None:
    control.directory.add_person(Person("zoe", ("reviewer",)), "token-z")
    control.directory.add_person(ADA, "token-a")
    assert [person.name for person in control.directory.people()] == ["ada", "zoe"]
    changed = Person("ada", ("requester", "operator"))
    control.directory.add_person(changed, "token-b")
    assert control.directory.person("ada") == changed
    assert control.directory.person_by_token("token-a") is None
    assert control.directory.person_by_token("token-b") == changed


def test_a_token_is_kept_as_its_digest_only(control: Control) -> None:
    control.directory.add_person(ADA, "a-very-secret-token")
    with control.engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM greylag_person_token")).all()
        rows += connection.execute(text("SELECT * FROM greylag_person")).all()
    assert len(rows) == 2
    assert all(b"very-secret" not in bytes(str(tuple(row)), "utf-8") for row in rows)


def test_two_people_can_t_share_a_token(control: Control) -> None:
    control.directory.add_person(ADA, "token-a")
    with pytest.raises(RequestRefused, match="GL-PERSON-003"):
        control.directory.add_person(Person("bo", ()), "token-a")
    assert [person.name for person in control.directory.people()] == ["ada"]


@pytest.mark.parametrize("token", ["", "a\x00b", "\ud800", "x" * 5_000])
def test_hostile_tokens_open_nothing(control: Control, token: str) -> None:
    control.directory.add_person(ADA, "token-a")
    assert control.directory.person_by_token(token) is None
    with pytest.raises(RequestRefused, match="GL-STORE-002"):
        control.directory.add_person(ADA, token)
    assert control.directory.person_by_token("token-a") == ADA


@pytest.mark.parametrize(
    ("person", "code"),
    [
        (Person("ada", ("emperor",)), "GL-PERSON-004"),
        (Person("", ()), "GL-STORE-002"),
        (Person("a\x00", ()), "GL-STORE-002"),
        (Person("ada", (), "a\ud800"), "GL-STORE-002"),
    ],
)
def test_hostile_people_are_refused(control: Control, person: Person, code: str) -> None:
    with pytest.raises(RequestRefused, match=code):
        control.directory.add_person(person, "token")
    assert control.directory.people() == ()


def test_an_unknown_person_or_repository_is_answered_with_the_known(control: Control) -> None:
    with pytest.raises(RequestRefused, match="none yet"):
        control.directory.person("ada")
    control.directory.add_person(ADA, "token-a")
    with pytest.raises(RequestRefused, match=r"GL-PERSON-001.*Did you mean 'ada'.*known: ada"):
        control.directory.person("adaa")
    for number in range(30):
        control.directory.add_repository(Repository(f"service-{number:02}", "eu"), AT)
    with pytest.raises(RequestRefused, match=r"GL-REPO-001.*Did you mean 'service-.*and 10 more"):
        control.directory.repository("service-1")
    with pytest.raises(RequestRefused, match="GL-REPO-001"):
        control.directory.repository("\ud800\x00")


def test_repositories_keep_all_their_settings(control: Control) -> None:
    environment = Environment("canary", "eu", ("serve", "{port}"), "/health", 8080, 2.5)
    wanted = Repository(
        "player", "eu", "confidential", "trunk", (("pytest", "-q"), ("ruff",)), "wheel", ("skip",), ("httpx",),
        (environment,),
    )  # fmt: skip
    control.directory.add_repository(wanted, AT)
    assert control.directory.repository("player") == wanted
    assert control.directory.repositories() == (wanted,)
    with pytest.raises(RequestRefused, match="GL-REPO-003"):
        control.directory.add_repository(Repository("site", "eu", "top secret"), AT)
    timeless = Environment("canary", "eu", (), health_timeout_seconds=float("nan"))
    with pytest.raises(RequestRefused, match="GL-STORE-002"):
        control.directory.add_repository(Repository("site", "eu", environments=(timeless,)), AT)
    assert control.directory.repositories() == (wanted,)


def test_deployments_are_recorded_once_and_in_order(control: Control) -> None:
    for number, environment in enumerate(["canary", "production", "canary"]):
        deployment = Deployment("player", environment, f"sha256:{number}", BODY, f"build {number}", "task_1", AT)
        for _ in range(2):
            control.deployments.record_deployment(deployment, key=f"k{number}")
    history = control.deployments.deployments("player")
    assert [found.name for found in history] == ["build 2", "build 1", "build 0"]
    assert control.deployments.live("player", "canary") == history[0]
    assert control.deployments.deployments("player", "production") == (history[1],)
    assert control.deployments.deployments("player", limit=1) == (history[0],)
    assert control.deployments.live("site", "canary") is None


@pytest.mark.parametrize("hostile", ["a\x00b", "\ud800", "x" * 5_000])
def test_hostile_thread_messages_are_refused_whole(control: Control, hostile: str) -> None:
    good = {"author": "ada", "kind": "text", "key": "k", "decision_id": "dec_1"}
    for name in good:
        given = {**good, name: hostile}
        decision_id = given.pop("decision_id")
        with pytest.raises(RequestRefused, match="GL-STORE-002"):
            control.threads.say(TaskId("task_1"), Spoken(**given), body=BODY, decision_id=decision_id, at=AT)
    assert control.threads.messages(TaskId("task_1")) == ()
