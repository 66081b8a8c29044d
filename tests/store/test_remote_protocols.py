"""Push and pull over protocols whose servers are programs of this machine: ssh and gs."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from tratree_store import Store, VerificationError
from tratree_store import remote as remotes

from .conftest import Make

pytestmark = pytest.mark.slow


@pytest.fixture(params=["ssh", "gs"])
def url(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    with (ssh if request.param == "ssh" else gs)(tmp_path / "server", monkeypatch) as found:
        yield found


@contextmanager
def ssh(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An ssh server of our own on a free port, with a key that lives as long as the test."""
    pytest.importorskip("paramiko", reason="the ssh test needs paramiko")
    server = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if server is None or shutil.which("ssh-keygen") is None:
        pytest.skip("the ssh test needs an OpenSSH server (sshd, ssh-keygen)")
    keys = folder / "home" / ".ssh"
    keys.mkdir(parents=True, mode=0o700)
    for path in (folder / "host", keys / "id_ed25519"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    port = free_port()
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": keys / "id_ed25519.pub",
        "StrictModes": "no",
        "PermitRootLogin": "prohibit-password",
        "PasswordAuthentication": "no",
        "UsePAM": "no",
        "PidFile": "none",
        "Subsystem": "sftp internal-sftp",
    }
    text = "".join(f"{name} {value}\n" for name, value in settings.items())
    (folder / "config").write_text(text)
    monkeypatch.setenv("HOME", str(folder / "home"))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it drops its privileges
    with running([server, "-D", "-f", str(folder / "config")], port):
        yield f"ssh://{getpass.getuser()}@127.0.0.1:{port}{folder}/remote"


@contextmanager
def gs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A local server that speaks Google's storage protocol."""
    if find_spec("gcsfs") is None or find_spec("gcp_storage_emulator") is None:
        pytest.skip("the gs test needs gcsfs and gcp-storage-emulator")
    port = free_port()
    for name, value in {
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
        "FSSPEC_GS_TOKEN": "anon",
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # asks a service that is not emulated
    }.items():
        monkeypatch.setenv(name, value)
    start = f"--port {port} --in-memory --default-bucket=bucket"
    words = [sys.executable, "-m", "gcp_storage_emulator", "start", *start.split()]
    import gcsfs  # reads the environment when it is imported

    monkeypatch.setattr("fsspec.config.conf", {"gs": {"token": "anon"}, "gcs": {"token": "anon"}})
    gcsfs.GCSFileSystem.clear_instance_cache()
    with running(words, port):
        yield "gs://bucket/team"
    gcsfs.GCSFileSystem.clear_instance_cache()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(words: list[str], port: int) -> Iterator[None]:
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None, "the server ended"
            time.sleep(0.1)
        yield
    finally:
        server.kill()
        server.wait()


def test_artifacts_travel_both_ways_by_many_threads_and_are_checked(
    store: Store, make: Make, url: str, tmp_path: Path
) -> None:
    below = make("model", {f"{n}.txt": str(n) * 1000 for n in range(12)})
    entry = make("tree", {"a.txt": "a" * 5000}, inputs={"model": below.object})
    assert remotes.push(store, [entry], url, names={"best": entry}, jobs=4).files == 13
    assert remotes.push(store, [entry], url).objects == 0
    other = Store(tmp_path / "other")
    (found,), got = remotes.pull(other, ["best"], url, jobs=4)
    assert (found.ref, got.objects, got.files) == (entry.ref, 2, 13)
    assert other.verify(found) == []
    flipped = remotes.Remote(url)
    manifest = remotes.read_manifest(store.objects, entry.object)
    flipped.write(remotes.sharing.blob_name(manifest.files[0].sha256), b"b" * 5000)
    with pytest.raises(VerificationError, match="other bytes"):
        remotes.pull(Store(tmp_path / "third"), [entry.ref], url)
