import errno
import hashlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greylag.adapters.vault import conformance, keyfile
from greylag.adapters.vault.backends.local import OVERHEAD_BYTES, LocalVault
from greylag.adapters.vault.keyfile import secret_file
from greylag.domain.errors import BackendError, IntegrityError, OperatorError, RequestRefused
from greylag.domain.references import Reference
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit
from tests.support.permits import permit

CONTENT = b"the diff of a secret product \x00\xff" * 10


def permit_for(content: bytes, region: str = "eu") -> Permit:
    return permit(Stage.ARTIFACT, f"vault:{region}", f"sha256:{hashlib.sha256(content).hexdigest()}")


def put(vault: LocalVault, content: bytes = CONTENT, subject: str = "task_1", kind: str = "diff") -> Reference:
    return vault.put(permit_for(content, vault.region), content, kind=kind, subject=subject, media_type="text/x-diff")


@pytest.fixture
def vault(tmp_path: Path) -> LocalVault:
    return LocalVault(tmp_path / "vault", "eu")


def objects(root: Path) -> list[Path]:
    return sorted(path for path in (root / "vault" / "objects").rglob("*") if path.is_file())


def test_every_conformance_check_holds(vault: LocalVault) -> None:
    checks = conformance.checks(vault, permit, "conformance-1")
    assert len(checks) == 7
    for _, check in checks:
        check()


def test_a_vault_that_gives_other_content_is_found(vault: LocalVault) -> None:
    class Forgetful:
        region = vault.region

        def __getattr__(self, name: str) -> object:
            return getattr(vault, name)

        def get(self, *_: object, **__: object) -> bytes:
            return b"other"

    with pytest.raises(IntegrityError, match="GL-VAULT-008"):
        conformance.checks(Forgetful(), permit, "conformance-1")[0][1]()  # type: ignore[arg-type]


def test_a_reference_says_all_that_is_needed(vault: LocalVault) -> None:
    reference = put(vault)
    digest = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    assert reference == Reference("eu", digest, len(CONTENT), "diff", "text/x-diff")
    assert vault.get(reference, subject="task_1") == CONTENT


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(content=st.binary(max_size=300), subject=st.text(st.characters(categories=["L", "N", "P"]), min_size=1))
def test_whatever_is_put_comes_back(vault: LocalVault, content: bytes, subject: str) -> None:
    assert vault.get(put(vault, content, subject[:200]), subject=subject[:200]) == content


def test_nothing_readable_stands_on_disk(vault: LocalVault, tmp_path: Path) -> None:
    reference = put(vault)
    for path in (tmp_path / "vault").rglob("*"):
        for secret in (b"secret product", b"task_1", reference.digest[7:].encode(), b"x-diff"):
            assert secret not in os.fsencode(path.name)
            assert not path.is_file() or secret not in path.read_bytes()
    assert stat.S_IMODE((tmp_path / "vault").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "vault" / "region.key").stat().st_mode) == 0o600
    assert list((tmp_path / "vault" / "drafts").iterdir()) == []


def test_the_same_content_of_two_subjects_is_two_objects(vault: LocalVault, tmp_path: Path) -> None:
    first, second = put(vault, subject="task_1"), put(vault, subject="task_2")
    assert first == second
    one, two = objects(tmp_path)
    assert one.read_bytes()[4:] != two.read_bytes()[4:]
    vault.erase("task_1")
    assert vault.get(second, subject="task_2") == CONTENT


def test_a_wrong_permit_stores_nothing(vault: LocalVault, tmp_path: Path) -> None:
    for wrong in (
        permit(Stage.CHAT, "vault:eu", permit_for(CONTENT).asset_digest),
        permit_for(CONTENT, "us"),
        permit_for(b"other content"),
        replace(permit_for(CONTENT), seal=object()),
    ):
        with pytest.raises(IntegrityError, match="GL-EGRESS-001"):
            vault.put(wrong, CONTENT, kind="diff", subject="task_1", media_type="text/plain")
    assert objects(tmp_path) == []


def flipped(raw: bytes, place: int) -> bytes:
    changed = bytearray(raw)
    changed[place] ^= 1
    return bytes(changed)


def test_every_changed_byte_is_found(vault: LocalVault, tmp_path: Path) -> None:
    reference = put(vault, b"ab")
    (path,) = objects(tmp_path)
    raw = path.read_bytes()
    assert len(raw) == OVERHEAD_BYTES + 2
    for changed in (*(flipped(raw, place) for place in range(len(raw))), raw[:-1], raw + b"\0", b"", bytes(len(raw))):
        path.write_bytes(changed)
        with pytest.raises(IntegrityError, match="GL-VAULT-001"):
            vault.get(reference, subject="task_1")
        with pytest.raises(IntegrityError, match="GL-VAULT-001"):
            put(vault, b"ab")
    path.write_bytes(raw)
    assert vault.get(reference, subject="task_1") == b"ab"


def test_an_object_under_another_name_is_found(vault: LocalVault, tmp_path: Path) -> None:
    first, second = put(vault, b"one"), put(vault, b"two")
    one, two = objects(tmp_path)
    raw = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(raw)
    for reference in (first, second):
        with pytest.raises(IntegrityError, match="GL-VAULT-001"):
            vault.get(reference, subject="task_1")


def test_a_key_of_another_subject_opens_nothing(vault: LocalVault, tmp_path: Path) -> None:
    reference = put(vault, subject="task_1")
    put(vault, subject="task_2")
    one, two = sorted((tmp_path / "vault" / "subjects").iterdir())
    shutil.copyfile(two, one.with_name("swap"))
    shutil.copyfile(one, two)
    (one.with_name("swap")).replace(one)
    with pytest.raises(IntegrityError, match="GL-VAULT-001"):
        vault.get(reference, subject="task_1")
    for content in (b"", b"\0" * 10, b"GLV1"):
        one.write_bytes(content)
        two.write_bytes(content)
        with pytest.raises(IntegrityError, match="GL-VAULT-001"):
            vault.get(reference, subject="task_1")


@pytest.mark.parametrize(
    "changed",
    [
        {"region": "us"},
        {"digest": f"sha256:{'0' * 64}"},
        {"digest": "sha256:../../region.key"},
        {"digest": "md5:x"},
        {"digest": f"sha256:{'0' * 64}\n"},
        {"kind": "prompt"},
        {"kind": "../subjects"},
    ],
)
def test_what_was_never_stored_is_unknown(vault: LocalVault, changed: dict[str, str]) -> None:
    with pytest.raises(RequestRefused, match="GL-VAULT-002"):
        vault.get(replace(put(vault), **changed), subject="task_1")  # type: ignore[arg-type]


def test_a_reference_with_another_size_is_not_believed(vault: LocalVault) -> None:
    for size in (0, -5, 10**15):
        with pytest.raises(IntegrityError, match="GL-VAULT-001"):
            vault.get(replace(put(vault), size_bytes=size), subject="task_1")


@pytest.mark.parametrize("word", ["", "a\x00b", "a\nb", "\ud800", "x" * 201])
def test_words_that_name_nothing_are_refused(vault: LocalVault, tmp_path: Path, word: str) -> None:
    good = {"kind": "diff", "subject": "task_1", "media_type": "text/plain"}
    for name in good:
        with pytest.raises(RequestRefused, match="GL-VAULT-007"):
            vault.put(permit_for(CONTENT), CONTENT, **{**good, name: word})
    with pytest.raises(RequestRefused, match="GL-VAULT-007"):
        vault.get(put(vault), subject=word)
    with pytest.raises(RequestRefused, match="GL-VAULT-007"):
        vault.erase(word)
    with pytest.raises(RequestRefused, match="GL-VAULT-007"):
        LocalVault(tmp_path / "other", word)


def test_a_size_bound_holds(tmp_path: Path) -> None:
    vault = LocalVault(tmp_path / "vault", "eu", max_object_bytes=10)
    put(vault, b"x" * 10)
    with pytest.raises(RequestRefused, match="GL-VAULT-003"):
        put(vault, b"x" * 11)
    assert len(objects(tmp_path)) == 1


def test_erasure_is_final(vault: LocalVault, tmp_path: Path) -> None:
    reference = put(vault)
    (key_file,) = (tmp_path / "vault" / "subjects").iterdir()
    saved_object, (stored,) = objects(tmp_path)[0].read_bytes(), objects(tmp_path)
    vault.erase("task_1")
    assert objects(tmp_path) == []
    assert key_file.read_bytes() == b"erased\n"
    stored.parent.mkdir(exist_ok=True)
    stored.write_bytes(saved_object)  # a backup of the object alone brings nothing back
    for again in (vault, LocalVault(tmp_path / "vault", "eu")):
        with pytest.raises(RequestRefused, match=r"GL-VAULT-002.*erased"):
            again.get(reference, subject="task_1")
        with pytest.raises(RequestRefused, match=r"GL-VAULT-002.*erased"):
            put(again)


def test_an_erasure_cut_short_by_a_crash_has_happened(
    vault: LocalVault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reference = put(vault)

    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("greylag.adapters.vault.backends.local.replace_file", power_cut)
        with pytest.raises(KeyboardInterrupt):
            vault.erase("task_1")
    reopened = LocalVault(tmp_path / "vault", "eu")
    with pytest.raises(RequestRefused, match="GL-VAULT-002"):
        reopened.get(reference, subject="task_1")
    reopened.erase("task_1")
    assert objects(tmp_path) == []


def test_an_erased_subject_that_never_stored_anything_stays_erased(vault: LocalVault) -> None:
    vault.erase("task_9")
    with pytest.raises(RequestRefused, match="GL-VAULT-002"):
        put(vault, subject="task_9")


def test_vaults_of_one_folder_share_it_and_regions_do_not(tmp_path: Path) -> None:
    first, second = LocalVault(tmp_path / "vault", "eu"), LocalVault(tmp_path / "vault", "eu")
    assert second.get(put(first), subject="task_1") == CONTENT
    elsewhere = LocalVault(tmp_path / "us", "us")
    with pytest.raises(RequestRefused, match="GL-VAULT-002"):
        elsewhere.get(put(first), subject="task_1")
    renamed = LocalVault(tmp_path / "vault", "us")
    with pytest.raises(RequestRefused, match="GL-VAULT-002"):
        renamed.get(replace(put(first), region="us"), subject="task_1")


def test_many_threads_that_put_the_same_and_different_things(tmp_path: Path) -> None:
    vaults = [LocalVault(tmp_path / "vault", "eu") for _ in range(3)]

    def work(number: int) -> bytes:
        content = str(number % 10).encode()
        reference = put(vaults[number % 3], content, subject=f"task_{number % 2}")
        return vaults[(number + 1) % 3].get(reference, subject=f"task_{number % 2}")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(120))) == [str(number % 10).encode() for number in range(120)]
    assert len(objects(tmp_path)) == 10


WRITER = """
import hashlib, sys
from pathlib import Path
from greylag.adapters.vault.backends.local import LocalVault
from greylag.domain.stages import Stage
from tests.support.permits import permit
vault = LocalVault(Path(sys.argv[1]), "eu")
sys.stdout.write("ready\\n"); sys.stdout.flush()
number = 0
while True:
    content = str(number).encode() * 5_000
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    vault.put(permit(Stage.ARTIFACT, "vault:eu", digest), content, kind="log", subject="s", media_type="text/plain")
    sys.stdout.write(f"{number}\\n"); sys.stdout.flush()
    number += 1
"""


def test_a_killed_writer_leaves_whole_objects_only(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "vault")], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    for _ in range(25):
        last = int(writer.stdout.readline())
    writer.kill()
    writer.communicate(timeout=20)
    vault = LocalVault(tmp_path / "vault", "eu")
    for number in range(last + 1):
        content = str(number).encode() * 5_000
        reference = Reference("eu", permit_for(content).asset_digest, len(content), "log", "text/plain")
        assert vault.get(reference, subject="s") == content
    for number in range(last + 3):
        put(vault, str(number).encode() * 5_000, subject="s", kind="log")


def spoil_mode(path: Path) -> None:
    path.chmod(0o640)


def spoil_size(path: Path) -> None:
    path.write_bytes(b"short")


def spoil_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def spoil_kind(path: Path) -> None:
    path.unlink()
    path.mkdir()


def spoil_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def spoil_owner(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(path, 65_534, 65_534)


@pytest.mark.parametrize("spoil", [spoil_mode, spoil_size, spoil_link, spoil_kind, spoil_pipe, spoil_owner])
def test_a_region_key_that_can_t_be_trusted_is_refused(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    put(LocalVault(tmp_path / "vault", "eu"))
    spoil(tmp_path / "vault" / "region.key")
    with pytest.raises(OperatorError, match="GL-VAULT-004"):
        LocalVault(tmp_path / "vault", "eu")


def test_a_lost_region_key_is_not_replaced_in_silence(tmp_path: Path) -> None:
    put(LocalVault(tmp_path / "vault", "eu"))
    (tmp_path / "vault" / "region.key").unlink()
    with pytest.raises(OperatorError, match="GL-VAULT-005"):
        LocalVault(tmp_path / "vault", "eu")


def test_a_secret_is_made_once_by_many(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(lambda _: secret_file(tmp_path / "key"), range(40)))
    assert len(secrets) == 1
    assert len(secrets.pop()) == 32
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_full_disk_is_a_transient_failure_and_leaves_nothing(
    vault: LocalVault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put(vault, b"before")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(BackendError, match="GL-VAULT-006") as caught:
            put(vault)
        assert caught.value.transient
        with pytest.raises(BackendError, match="GL-VAULT-006"):
            keyfile.create_once(tmp_path / "key", b"x")
    assert not (tmp_path / "key").exists()
    assert len(objects(tmp_path)) == 1
    assert list((tmp_path / "vault" / "drafts").iterdir()) == []
    assert vault.get(put(vault), subject="task_1") == CONTENT


def test_a_folder_that_can_t_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(BackendError, match="GL-VAULT-006"):
        LocalVault(tmp_path / "file" / "vault", "eu")
