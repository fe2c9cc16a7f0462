"""A permit is worth something only if nobody else can make one, and only for the hop it was given for."""

import dataclasses

import pytest

from greylag.domain.errors import IntegrityError
from greylag.domain.ids import DecisionId
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit, mint

DIGEST = "sha256:" + "0" * 64
PERMIT = mint(DecisionId("dec_1"), Stage.PROMPT, "eu-model", DIGEST, 7)


def test_a_permit_holds_for_its_own_hop() -> None:
    PERMIT.require(Stage.PROMPT)
    PERMIT.require(Stage.PROMPT, "eu-model")
    PERMIT.require(Stage.PROMPT, "eu-model", DIGEST)


@pytest.mark.parametrize(
    ("stage", "target", "digest"),
    [
        (Stage.PUSH, None, None),
        (Stage.PROMPT, "us-model", None),
        (Stage.PROMPT, "eu-model", "sha256:" + "1" * 64),
        (Stage.PROMPT, "eu-model", ""),
        (Stage.PROMPT, "", DIGEST),
    ],
)
def test_a_permit_for_another_hop_is_refused(stage: Stage, target: str | None, digest: str | None) -> None:
    with pytest.raises(IntegrityError) as refused:
        PERMIT.require(stage, target, digest)
    assert refused.value.code == "GL-EGRESS-001"


@pytest.mark.parametrize("seal", [None, object(), True, "sealed", PERMIT])
def test_a_made_up_permit_is_refused(seal: object) -> None:
    made_up = Permit(DecisionId("dec_1"), Stage.PROMPT, "eu-model", DIGEST, 7, seal)
    with pytest.raises(IntegrityError, match="not minted"):
        made_up.require(Stage.PROMPT, "eu-model", DIGEST)


def test_a_permit_cannot_be_turned_into_another() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        PERMIT.target = "us-model"  # type: ignore[misc]
