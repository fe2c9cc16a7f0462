"""Sending something else than the content: an envelope nobody there can open, or a card that only says where it is."""

import re

from greylag.governance.scanning.values import Findings
from greylag.governance.transformations.sealing import seal
from greylag.governance.transformations.values import Parameters, Transformed, refused

_TASK = re.compile(r"task_[0-9a-z]{1,40}")
_LINK = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]{1,253}(?:/[A-Za-z0-9._~/-]{0,256})?(?:#[A-Za-z0-9_-]{0,64})?")


def encrypt(
    content: bytes, media_type: str, findings: Findings, parameters: Parameters, key: bytes | None
) -> Transformed:
    """Put the content into an envelope that only the region's key opens (AES-256-GCM). The label stays as it was.

    Raises RequestRefused ``GL-TRANSFORM-004`` where there is no key.
    """
    if key is None:
        raise refused("004", "`encrypt` needs a key of the region.", "give the key of the store's region.")
    return Transformed(seal(content, key, "content"), None, (), ("only the region's key opens it",))


def link(content: bytes, media_type: str, findings: Findings, parameters: Parameters, key: bytes | None) -> Transformed:
    """Put a card in the content's place that names the task and a link, nothing of the content.

    Parameters ``task`` and ``link``: the link has no query, for what is in one may be content. Raises RequestRefused
    ``GL-TRANSFORM-002``.
    """
    task, target = parameters.get("task", ""), parameters.get("link", "")
    if not _TASK.fullmatch(task):
        raise refused("002", f"parameter `task`: got/expected: {task[:60]!r}/a task's id.", "give the task's id.")
    if not _LINK.fullmatch(target):
        raise refused(
            "002", f"parameter `link`: got/expected: {target[:60]!r}/an http(s) link without query.",
            "give the task's page.",
        )  # fmt: skip
    return Transformed(f"{task}: {target}\n".encode(), None, findings.keys, ("the content stays where it is",))
