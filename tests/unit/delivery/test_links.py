"""Who is who: a link works once, for a while, for whom it was made; nothing that was made up works at all."""

import base64
import json
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greylag.adapters.store.port import ChatPerson
from greylag.delivery.conversing.identity import LINK_MINUTES, Links
from greylag.domain.errors import RequestRefused
from tests.support.front_stage import KEY, SOURCE, Scene

WHO = "UNEW"


def code_for(scene: Scene, author: str = WHO, name: str = "New One") -> str:
    return scene.links.address_for(SOURCE, author, name).rpartition("/")[2]


def entries(scene: Scene) -> list[dict[str, str]]:
    return [each for each in scene.ledger.entries if each["kind"].startswith("chat_person")]


def test_a_link_makes_somebody_known_once(scene: Scene) -> None:
    code = code_for(scene)
    claim = scene.links.read(code)
    assert (claim.source, claim.author, claim.name) == (SOURCE, WHO, "New One")
    known = scene.links.redeem(code, "lin")
    assert (known.source, known.author, known.person, known.via) == (SOURCE, WHO, "lin", "link")
    assert scene.stores.chats.person(SOURCE, WHO) == known
    for person in ("lin", "grace"):
        with pytest.raises(RequestRefused, match="GL-LINK-003"):
            scene.links.redeem(code, person)
    (entry,) = entries(scene)
    assert (entry["by"], entry["via"], entry["source"]) == ("lin", "link", SOURCE)
    assert WHO not in json.dumps(entry), "the ledger holds no chat's id of a person"


def test_looking_at_a_link_uses_nothing_up(scene: Scene) -> None:
    code = code_for(scene)
    for _ in range(5):
        scene.links.read(code)
    assert scene.links.redeem(code, "lin").person == "lin"


def test_a_link_s_time_ends(scene: Scene) -> None:
    code = code_for(scene)
    scene.clock.at += timedelta(minutes=LINK_MINUTES - 1)
    scene.links.read(code)
    scene.clock.at += timedelta(minutes=2)
    for act in (scene.links.read, lambda each: scene.links.redeem(each, "lin")):
        with pytest.raises(RequestRefused, match="GL-LINK-002"):
            act(code)
    assert scene.stores.chats.person(SOURCE, WHO) is None


def test_whose_account_it_is_cannot_be_taken_by_a_second_link(scene: Scene) -> None:
    first, second = code_for(scene), code_for(scene)
    assert first != second
    scene.links.redeem(first, "lin")
    with pytest.raises(RequestRefused, match="GL-LINK-004") as refused:
        scene.links.redeem(second, "grace")
    assert "greylag person unlink" in refused.value.remedy
    assert scene.links.redeem(second, "lin").person == "lin", "saying the same again is fine"


def test_a_link_to_somebody_who_is_not_there_makes_nobody_known(scene: Scene) -> None:
    with pytest.raises(RequestRefused, match="GL-PERSON-001"):
        scene.links.redeem(code_for(scene), "nobody")
    assert scene.stores.chats.person(SOURCE, WHO) is None
    assert entries(scene) == []


def spelled(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def test_what_was_changed_or_made_up_is_no_link(scene: Scene) -> None:
    code = code_for(scene)
    body, _, mac = code.partition(".")
    values = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    forged = [
        spelled(json.dumps([SOURCE, "UADMIN", *values[2:]]).encode()) + "." + mac,
        spelled(json.dumps([*values[:3], values[3] + 10**6, values[4]]).encode()) + "." + mac,
        f"{body}.{spelled(b'0' * 32)}", f"{body}.", f".{mac}", body, "", ".", "..", "a.b", code + "=", code + ".x",
        code + "A", code.upper(), code[:-1], f"{body}\u00e9.{mac}", "é" * 50, "x" * 100_000, code.replace(".", ".."),
    ]  # fmt: skip
    for each in forged:
        with pytest.raises(RequestRefused, match="GL-LINK-001"):
            scene.links.read(each)
    other = Links(scene.cell, scene.stores.chats, KEY[:-1] + b"x", str)
    with pytest.raises(RequestRefused, match="GL-LINK-001"):
        other.read(code)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.text(min_size=1, max_size=255), st.text(max_size=300))
def test_any_account_comes_back_from_its_link(scene: Scene, author: str, name: str) -> None:
    try:
        code = code_for(scene, author, name)
    except (RequestRefused, UnicodeEncodeError):
        return  # ids that are too long for an address, or no text
    claim = scene.links.read(code)
    assert claim.author == author
    assert len(claim.name) <= 40
    assert claim.name.isprintable()


def test_an_operator_says_who_is_who_and_takes_it_back(scene: Scene) -> None:
    assert scene.links.link(SOURCE, WHO, "lin").via == "operator"
    assert scene.links.link(SOURCE, WHO, "grace").person == "grace"
    assert WHO in [each.author for each in scene.links.all()]
    assert scene.links.unlink(SOURCE, WHO).person == "grace"
    assert scene.stores.chats.person(SOURCE, WHO) is None
    with pytest.raises(RequestRefused, match="GL-LINK-006"):
        scene.links.unlink(SOURCE, WHO)
    assert [each["kind"] for each in entries(scene)] == ["chat_person", "chat_person", "chat_person_forgotten"]


@pytest.mark.parametrize(
    ("source", "author"), [("", WHO), (SOURCE, ""), (SOURCE, "a b"), (SOURCE, "x" * 256), ("\x00", WHO)]
)
def test_an_operator_s_slip_is_refused(scene: Scene, source: str, author: str) -> None:
    with pytest.raises(RequestRefused, match="GL-LINK-005"):
        scene.links.link(source, author, "lin")


def test_who_is_unlinked_needs_a_new_link(scene: Scene) -> None:
    code = code_for(scene)
    scene.links.redeem(code, "lin")
    scene.links.unlink(SOURCE, WHO)
    with pytest.raises(RequestRefused, match="GL-LINK-003"):
        scene.links.redeem(code, "lin")
    known = scene.links.redeem(code_for(scene), "lin")
    assert known == ChatPerson(SOURCE, WHO, "lin", "link", known.at)
