"""What every chat keeps when the platform says something there. Part of `greylag.adapters.chat.conformance`."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from greylag.adapters.chat.counterpart import Seen, Trial, digest_of, readable, until
from greylag.adapters.chat.hostile import HUGE, messages
from greylag.adapters.chat.port import Control, Step
from greylag.domain.errors import GreylagError
from greylag.domain.stages import Stage

_TASK = "task_00000000000000000000000000"
_SUBJECT = digest_of("what is up for review")
_URL = "https://greylag.example/tasks/task_00000000000000000000000000"
#: Everything that a card offers. The value of the third is what nobody should ever see as markup.
CARD = (
    Control("Approve", "approve", _SUBJECT, _TASK, style="primary", said="approve"),
    Control("Reject", "reject", _SUBJECT, _TASK, style="danger", asks="Why not", said="reject REASON"),
    Control("choice <b>&", "answer", "a\"b'c<!channel>&amp;|`*", _TASK, said="say a choice"),
    Control("Diff", url=f"{_URL}/see/diff"),
)


async def check_permits(trial: Trial) -> None:
    """Nothing is said without a permit for exactly this stage, place and text."""
    post, where = trial.text("never said"), trial.chat.where
    before = await trial.ours()
    right = trial.permits(Stage.CHAT, where, post.digest)
    wrong = {
        "needs its own permit": trial.permits(Stage.PUSH, where, post.digest),
        "refuses a permit for elsewhere": trial.permits(Stage.CHAT, f"{where}-elsewhere", post.digest),
        "refuses a permit for other words": trial.permits(Stage.CHAT, where, digest_of("other words")),
        "refuses a permit that nobody gave": replace(right, seal=object()),
    }
    for promise, permit in wrong.items():
        await _refused(trial, promise, lambda given=permit: trial.chat.post(given, post))  # type: ignore[misc]  # now
    altered = replace(post, text="other words")
    await _refused(trial, "refuses words that are not those of the digest", lambda: trial.chat.post(right, altered))
    if trial.chat.capabilities.files:
        of_other = trial.permits(Stage.CHAT, where, digest_of(b"other"))
        room = trial.other.conversation
        await _refused(
            trial, "refuses a permit for another file",
            lambda: trial.chat.upload(of_other, room, "a.txt", b"content", "conformance/refused"),
        )  # fmt: skip
    fence = await trial.said(trial.text("said after the refusals"))
    after = await trial.since(before)
    seen = [each.text for each in after]
    trial.find("says nothing it refused", len(after) == 1 and readable("said after", fence.text), seen)


async def _refused(trial: Trial, promise: str, act: Callable[[], Awaitable[str]]) -> None:
    try:
        await act()
    except GreylagError as error:
        trial.find(promise, error.code == "GL-EGRESS-001", error)
    else:
        trial.find(promise, False, "it was done")


async def check_once(trial: Trial) -> None:
    """The same key is said once, whatever became of the answer and of the process."""
    before = await trial.ours()
    post = trial.text("said once")
    handles = [await trial.post(post), await trial.post(post), await trial.post(post, uncertain=True)]
    await trial.post(trial.text("the next one"))
    await _only(trial, "says the same thing once", before, "said once", handles)

    before = await trial.ours()
    post = trial.text("said before the end")
    handles = [await trial.post(post)]
    await trial.reopen()
    handles.append(await trial.post(post, uncertain=True))
    await trial.post(trial.text("the next one"))
    await _only(trial, "says it once though the process ended in between", before, "said before the end", handles)

    before = await trial.ours()
    handles = [await trial.post(trial.text("perhaps never said"), uncertain=True)]
    await trial.post(trial.text("the next one"))
    await _only(trial, "says what it can't find when it is unsure", before, "perhaps never said", handles)


async def _only(trial: Trial, promise: str, before: list[Seen], words: str, handles: list[str]) -> None:
    found = await trial.since(before, 2)
    good = len(found) == 2 and readable(words, found[0].text) and set(handles) == {found[0].message_id}
    trial.find(promise, good, f"{[(each.message_id, each.text) for each in found]}, returned {handles}")


async def check_order(trial: Trial) -> None:
    """What is said one after the other stands in that order, in one thread, under the platform's name."""
    before = await trial.ours()
    words = [f"number {number} of the order" for number in range(5)]
    for each in words:
        await trial.post(trial.text(each))
    found = await trial.since(before, len(words))
    good = len(found) == len(words) and all(
        readable(*pair) for pair in zip(words, (f.text for f in found), strict=True)
    )
    trial.find("keeps the order", good, [each.text for each in found])
    quoted = await trial.said(trial.text("these are my words", author="grace"))
    named = "grace" in quoted.text or "grace" in quoted.author
    trial.find("names the person whose words it repeats", named, quoted)
    for kind in ("card", "question", "error", "notice"):
        seen = await trial.said(trial.text(f"words of kind {kind}", kind, title=f"title of {kind}"))
        good = readable(f"words of kind {kind}", seen.text) and readable(f"title of {kind}", seen.text)
        trial.find(f"shows title and text of kind {kind}", good, seen.text)


async def check_progress(trial: Trial) -> None:
    """A live card shows what it does now; where the chat can edit, it stays one message."""
    before = await trial.ours()
    steps = (Step("1", "reads the code"), Step("2", "writes the change"))
    first = trial.text("reads the code", "progress", steps=steps[:1], title="attempt 1")
    handle = await trial.post(first)
    done = (replace(steps[0], state="complete"), steps[1])
    second = trial.text("writes the change", "progress", steps=done, title="attempt 1")
    handles = [handle, await trial.post(second, handle=handle), await trial.post(second, handle=handle)]
    await trial.post(trial.text("after the progress"))
    edits = trial.chat.capabilities.edit

    def whole(found: list[Seen]) -> bool:
        return len(found) >= (2 if edits else 3) and readable(steps[1].text, "".join(each.text for each in found[:-1]))

    found = await until(lambda: trial.since(before, 2), whole)
    shown = [each.text for each in found]
    trial.find("progress is told as it goes", whole(found), shown)
    if edits:
        good = len(found) == 2 and len(set(handles)) == 1 and all(readable(s.text, shown[0]) for s in steps)
        trial.find("a live card stays one message", good, f"{shown}, returned {handles}")


async def check_controls(trial: Trial) -> None:
    """What is offered can be pressed, or is written as the words that do the same; links lead where they say."""
    seen = await trial.said(trial.text("what can be done", "card", controls=CARD, title="a card"))
    if trial.chat.capabilities.buttons:
        pressed = {each.label: (each.verb, each.value, each.task_id) for each in seen.controls if not each.url}
        offered = {each.label: (each.verb, each.value, each.task_id) for each in CARD if not each.url}
        trial.find("buttons carry what they were given", pressed == offered, f"{pressed}, expected {offered}")
    else:
        pressable = [each for each in seen.controls if each.verb]
        trial.find("has no buttons, as it says", not pressable, pressable)
        missing = [each.said for each in CARD if each.said and not readable(each.said, seen.text)]
        trial.find("what can't be pressed is written as words", not missing, f"{missing} not in {seen.text!r}")
    url = CARD[-1].url
    linked = url in seen.text or url in {each.url for each in seen.controls}
    trial.find("a link leads where it says", linked, seen)
    trial.find("what is offered is no markup", not seen.acts, seen.acts)


async def check_hostile(trial: Trial) -> None:
    """Whatever the words are, they are words: readable, nobody is called, nothing is disguised, the thread goes on."""
    unread, acts = [], []
    for group in messages():
        seen = await trial.said(trial.text("\n".join(group)))
        unread += [word for word in group if not readable(word, seen.text)]
        acts += [f"{act} by {group!r}" for act in seen.acts]
    wild = " ".join(next(messages())) + " <!channel> @room"
    controls = (Control("<!here> @room <b>", "answer", wild[:150], _TASK, said="say it"), Control("Page", url=_URL))
    post = trial.text("plain", "card", title=wild, author="<!channel>", controls=controls)
    card = await trial.said(post)
    live = await trial.said(trial.text("plain", "progress", steps=(Step("1", wild),), title="<!channel> @room"))
    acts += [f"{act} in title, label or step" for act in (*card.acts, *live.acts)]
    trial.find("hostile words are readable", not unread, unread)
    trial.find("hostile words are only words", not acts, acts)
    last = await trial.said(trial.text("the thread goes on", controls=(Control("Page", url=_URL),)))
    good = readable("the thread goes on", last.text) and not last.acts
    trial.find("the thread is unbroken after them", good, last)


async def check_length(trial: Trial) -> None:
    """Too much is shown as much as fits, with a way to the rest: more messages, or the link that was given with it."""
    most = trial.chat.capabilities.longest_text
    lines = "\n".join(f"line {number} of a text that is too long" for number in range(min(most * 2, 150_000) // 30))
    for words, text in (("many lines", lines), *((repr(each[:20]), each) for each in HUGE)):
        before = await trial.ours()
        await trial.post(trial.text(text, controls=(Control("All of it", url=_URL),)))
        await trial.post(trial.text("the next one"))
        found = await until(
            lambda old=before: trial.since(old, 2),  # type: ignore[misc]  # binds now
            lambda found: bool(found) and readable("the next one", found[-1].text),
        )
        shown = "".join(each.text for each in found)
        linked = _URL in shown or any(c.url == _URL for each in found for c in each.controls)
        whole = readable(text[-200:], shown)
        good = readable(text[:200], shown) and (linked or whole) and readable("the next one", found[-1].text)
        fits = max((len(each.text) for each in found), default=0) <= most
        lengths = [len(each.text) for each in found]
        trial.find(f"too long a text fits: {words}", good and fits, f"{lengths} of {most}, way to the rest: {linked}")


async def check_files(trial: Trial) -> None:
    """A file is put there once per key, whole; a chat that says it has no files takes none."""
    content, room = bytes(range(256)) * 20, trial.other.conversation
    permit = trial.permits(Stage.CHAT, trial.chat.where, digest_of(content))
    key = trial.text("").key
    if not trial.chat.capabilities.files:
        try:
            await trial.chat.upload(permit, room, "build.bin", content, key)
        except GreylagError as error:
            trial.find("takes no files, as it says", True, error)
        else:
            trial.find("takes no files, as it says", False, "a file was taken")
        return
    before = await trial.other.seen()
    handles = [await trial.chat.upload(permit, room, "build.bin", content, key) for _ in range(2)]
    await trial.reopen()
    handles.append(await trial.chat.upload(permit, room, "build.bin", content, key, uncertain=True))
    await trial.post(trial.text("after the file"))
    found = [file for each in await trial.since(list(before), 2) for file in each.files]
    good = found == [("build.bin", content)] and len(set(handles)) == 1
    trial.find("a file is there once, whole", good, f"{[(n, len(c)) for n, c in found]}, returned {handles}")


def check_declared(trial: Trial) -> None:
    """What it declares can be read: names, bounds and places have values."""
    can = trial.chat.capabilities
    trial.find("declares how it is encrypted", can.encryption in ("transport", "end-to-end"), can.encryption)
    trial.find("declares where its content rests", bool(can.residency.strip()), repr(can.residency))
    trial.find("declares how long a message may be", can.longest_text >= 500, can.longest_text)
    named = bool(trial.chat.name and trial.chat.where and trial.chat.source == trial.other.conversation.source)
    trial.find("says which chat it is", named, f"{trial.chat.name!r} {trial.chat.source!r} {trial.chat.where!r}")
