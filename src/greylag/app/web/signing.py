"""Sign-offs by API: given in one's own name and role, listed for everybody who is known, taken back."""

from fastapi import APIRouter

from greylag.app.web import documents as doc
from greylag.app.web.api import Who, Wired
from greylag.delivery.governing.signing_off import Wanted, sign_off, withdraw
from greylag.governance.signoff import SignOff

router = APIRouter(prefix="/api/v1/sign-offs")


@router.post("", status_code=201)
def give(body: doc.SignOffIn, platform: Wired, who: Who) -> dict[str, object]:
    """Say yes to flows towards one target, in one's own role; it is in the ledger before it counts."""
    wanted = Wanted(
        body.role, body.target_kind, body.target, body.reason, body.days, body.repository, body.stage
    )  # fmt: skip
    return _out(sign_off(platform.cell, who.person, wanted, who.via))


@router.get("")
def listing(platform: Wired, who: Who) -> list[dict[str, object]]:
    """List the sign-offs that were not taken back, oldest first."""
    return [_out(each) for each in platform.directory.sign_offs()]


@router.post("/{sign_off_id}/withdraw")
def take_back(sign_off_id: str, platform: Wired, who: Who) -> dict[str, object]:
    """Take a sign-off back."""
    return _out(withdraw(platform.cell, who.person, sign_off_id))


def _out(each: SignOff) -> dict[str, object]:
    return {
        "id": each.sign_off_id, "role": each.role, "by": each.by, "target_kind": each.target_kind,
        "target": each.target, "repository": each.repository, "stage": each.stage, "reason": each.reason,
        "at": each.at.isoformat(), "until": each.until.isoformat(), "via": each.via,
    }  # fmt: skip
