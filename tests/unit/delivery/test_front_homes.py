"""What a chat's home shows: one's own, decided for exactly what is shown; less, or nothing, where it may not."""

from greylag.delivery.cell import digest_of
from greylag.delivery.conversing.front.homes import words_of
from greylag.domain import events as ev
from greylag.domain.conversation import Conversation
from greylag.domain.stages import Stage
from tests.support.front_stage import SOURCE, Scene, heard


async def two_tasks(scene: Scene) -> None:
    other = Conversation(SOURCE, "C2", "2.2")
    await scene.hear(heard(text="make it blue"))
    await scene.hear(heard(text="mail kim@example.org", author="UGRACE", conversation=other))


async def test_what_waits_for_somebody_comes_first(scene: Scene) -> None:
    await two_tasks(scene)
    mine = next(each for each in scene.tasks() if each.requester == "ada")
    scene.up_for_review(mine.task_id)
    home = await scene.front.home(SOURCE, "UGRACE")
    assert home.person == "grace"
    assert [(each.title, each.waits_for_you) for each in home.entries] == [
        ("make it blue", True), ("mail kim@example.org", False),
    ]  # fmt: skip
    assert home.entries[0].url == f"https://greylag.example/tasks/{mine.task_id}"
    assert home.permit is not None
    assert home.digest == digest_of(words_of(home))
    home.permit.require(Stage.CHAT, "slack", home.digest)
    ada = await scene.front.home(SOURCE, "UADA")
    (own,) = ada.entries
    assert (own.title, own.waits_for_you, own.status) == ("make it blue", False, "in review")


async def test_a_question_waits_for_who_asked(scene: Scene) -> None:
    await two_tasks(scene)
    mine = next(each for each in scene.tasks() if each.requester == "ada")
    scene.append(mine.task_id, ev.QuestionAsked("Which?", ("murmur",)))
    assert [each.waits_for_you for each in (await scene.front.home(SOURCE, "UADA")).entries] == [True]
    assert [each.task_id for each in (await scene.front.home(SOURCE, "ULIN")).entries] == []


async def test_somebody_unknown_sees_no_task_and_the_way_to_be_known(scene: Scene) -> None:
    await two_tasks(scene)
    home = await scene.front.home(SOURCE, "UMALLORY")
    assert (home.person, home.entries) == ("", ())
    assert "don't know who you are" in home.problem
    assert scene.links.read(home.link.rpartition("/")[2]).author == "UMALLORY"
    assert home.permit is not None


async def test_titles_stay_away_where_they_may_not_be_shown(scene: Scene) -> None:
    await two_tasks(scene)
    scene.policy.refuses = lambda question: question.asset.kind == "home" and "title" in question.asset.surfaces
    home = await scene.front.home(SOURCE, "UADA")
    assert [each.title for each in home.entries] == [each.task_id for each in scene.tasks() if each.requester == "ada"]
    assert "make it blue" not in words_of(home).decode()
    assert home.permit is not None
    home.permit.require(Stage.CHAT, "slack", digest_of(words_of(home)))


async def test_where_nothing_may_be_shown_there_is_no_permit(scene: Scene) -> None:
    await two_tasks(scene)
    scene.policy.refuses = lambda question: question.asset.kind == "home"
    for author in ("UADA", "UMALLORY"):
        home = await scene.front.home(SOURCE, author)
        assert (home.permit, home.entries, home.link) == (None, (), "")
