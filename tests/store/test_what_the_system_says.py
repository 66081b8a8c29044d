"""Errors of the system in words, file systems, copies, and what a group may do."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import stat
from pathlib import Path

import pytest
from tratree_store import copying, errors
from tratree_store.errors import StoreError, explained, refuse_passing
from tratree_store.filesystems import kind_in
from tratree_store.group_access import inherit, is_shared, widen, widen_all

TABLE = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:5 / /proc rw - proc proc rw
23 21 0:6 / /data rw - nfs4 server:/data rw
24 23 0:7 / /data/my\\040disk rw master:2 - xfs /dev/sdb rw
25 21 0:8 / /data/my\\040disk rw - btrfs /dev/sdc rw
26 21 0:9 / /datalong rw - tmpfs tmpfs rw
nonsense
27 21 - zfs pool rw
28 21 0:1 / /data/half rw
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/", "ext4"), ("/home/me", "ext4"), ("/proc", "proc"), ("/proc/self", "proc"),
        ("/data", "nfs4"), ("/data/x", "nfs4"), ("/data/half", "nfs4"),
        ("/data/my disk", "btrfs"), ("/data/my disk/a/b", "btrfs"), ("/data/my", "nfs4"),
        ("/datalong/x", "tmpfs"), ("/datalonger", "ext4"),
    ],
)  # fmt: skip
def test_the_file_system_is_that_of_the_nearest_mount(place: str, kind: str) -> None:
    assert kind_in(TABLE, Path(place)) == kind


def test_a_line_of_the_mount_table_has_five_fields_at_least() -> None:
    assert kind_in("21 1 8:1 / / - ext4 disk", Path("/a")) == "ext4"
    assert kind_in("21 1 8:1 / - ext4 disk", Path("/a")) == ""
    assert kind_in("21 1 8:1 / /", Path("/a")) == ""
    assert kind_in("", Path("/a")) == ""


def test_every_error_has_the_exit_code_of_the_page() -> None:
    codes = {
        errors.StoreError: 1, errors.NewerStore: 1, errors.LockTimeout: 11,
        errors.VerificationError: 12, errors.HostileArchive: 12, errors.UnknownReference: 2,
        errors.AmbiguousReference: 2, errors.KeyValueError: 2,
    }  # fmt: skip
    assert {error: error.exit_code for error in codes} == codes


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_what_this_process_lacks_is_not_blamed_on_the_file(number: int) -> None:
    with pytest.raises(StoreError, match=r"cannot read /x: .{6,}; run again"):
        refuse_passing(OSError(number, os.strerror(number)), Path("/x"))


def test_what_the_file_lacks_is_left_to_the_reader() -> None:
    for number in (errno.EIO, errno.EACCES, errno.ENOENT):
        refuse_passing(OSError(number, os.strerror(number)), Path("/x"))


def test_errors_of_the_system_are_put_into_words_or_told_as_they_are() -> None:
    said = {
        OSError(errno.ENOSPC, "full"): "cannot act in /x: no space left on the device; free some",
        OSError(errno.EIO, "Input/output error"): "cannot act in /x: Input/output error",
        OSError("only words"): "cannot act in /x: only words",
        sqlite3.Error("odd"): "cannot act in /x: the index says 'odd'; `tratree store reindex`",
    }
    for error, words in said.items():
        with pytest.raises(StoreError) as caught, explained("act", Path("/x")):
            raise error
        assert str(caught.value).startswith(words)


def test_a_link_is_copied_as_a_link_and_not_as_what_it_points_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("secret")
    source = tmp_path / "link"
    source.symlink_to(tmp_path / "secret")
    monkeypatch.setattr(copying, "_reflink", lambda *_: False)
    assert copying.copy_file(source, tmp_path / "a" / "b" / "one") == "link"
    assert (tmp_path / "a" / "b" / "one").is_symlink()


def test_blocks_are_shared_where_the_file_system_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clone(target: int, request: int, source: int) -> int:
        assert request == 0x40049409, "FICLONE, as Linux numbers it"
        return os.sendfile(target, source, 0, 1 << 20)

    (tmp_path / "source").write_text("content")
    monkeypatch.setattr(fcntl, "ioctl", clone)
    assert copying.copy_file(tmp_path / "source", tmp_path / "copy") == "reflink"
    assert (tmp_path / "copy").read_text() == "content"
    assert mode_of(tmp_path / "copy") == 0o444


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_folder_is_shared_if_its_group_may_write_and_hands_itself_on(tmp_path: Path) -> None:
    for mode, shared in ((0o2775, True), (0o2770, True), (0o775, False), (0o2755, False)):
        tmp_path.chmod(mode)
        assert is_shared(tmp_path) == shared, oct(mode)
    assert not is_shared(tmp_path / "missing")


@pytest.mark.parametrize(
    ("mode", "wanted"), [(0o600, 0o660), (0o400, 0o440), (0o644, 0o664), (0o444, 0o444)]
)
def test_the_group_gets_what_the_owner_may_with_a_file(
    tmp_path: Path, mode: int, wanted: int
) -> None:
    path = tmp_path / "file"
    path.touch()
    path.chmod(mode)
    widen(path)
    assert mode_of(path) == wanted


def test_the_group_may_do_everything_with_a_folder_and_a_link_is_left_alone(
    tmp_path: Path,
) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir(mode=0o700)
    outside.touch()
    outside.chmod(0o600)
    (tmp_path / "link").symlink_to(outside)
    widen(folder)
    widen(tmp_path / "link")
    assert mode_of(folder) == 0o2770
    assert mode_of(outside) == 0o600


def test_only_what_is_made_in_a_shared_folder_is_shared(tmp_path: Path) -> None:
    for name, mode, wanted in (("own", 0o755, 0o600), ("shared", 0o2775, 0o660)):
        folder = tmp_path / name
        folder.mkdir()
        folder.chmod(mode)
        (folder / "file").touch()
        (folder / "file").chmod(0o600)
        inherit(folder / "file")
        assert mode_of(folder / "file") == wanted


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_folder_is_given_to_its_group_and_what_belongs_to_others_is_named(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "store"
    (folder / "sub").mkdir(parents=True)
    for name in ("mine", "sub/theirs"):
        (folder / name).touch()
        (folder / name).chmod(0o600)
    os.chown(folder, -1, 61_000)
    os.chown(folder / "sub" / "theirs", 61_001, 61_001)
    assert widen_all(folder) == [folder / "sub" / "theirs"]
    assert {path.lstat().st_gid for path in (folder, folder / "mine", folder / "sub")} == {61_000}
    assert (folder / "mine").lstat().st_uid == 0
    assert mode_of(folder / "mine") == 0o660
    assert (mode_of(folder / "sub/theirs"), (folder / "sub/theirs").lstat().st_gid) == (
        0o600,
        61_001,
    )
