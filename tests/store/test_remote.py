"""Sharing: only what is missing travels, every byte is checked, and secrets stay secret."""

from __future__ import annotations

import functools
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from tratree_store import Entry, Recipe, Store, StoreError, UnknownReference, VerificationError
from tratree_store import remote as remotes
from tratree_store.fsck import check
from tratree_store.secrecy import secrets_of, without_secrets
from tratree_store.sharing import records_name
from tratree_store.transport import Remote, redacted

from .conftest import Make, flip


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store(tmp_path / "other")


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "remote") if request.param == "file" else f"memory://{uuid4().hex}/x"


def chain(make: Make) -> tuple[Entry, Entry, Entry]:
    demos = make("demos", {"d.jsonl": "demo " * 1000})
    model = make(
        "model", {"weights": "w" * 300_000, "sub/c.json": "{}"}, inputs={"d": demos.object}
    )
    rollouts = make("rollouts", inputs={"policy": model.object, "demos": demos.object}, seed=1)
    return demos, model, rollouts


def test_what_is_pushed_with_its_lineage_can_be_pulled_elsewhere(
    store: Store, other: Store, make: Make, url: str
) -> None:
    _, model, rollouts = chain(make)
    store.name("weak", model)
    done = remotes.push(store, [rollouts], url, names={"weak": model})
    assert (done.objects, done.skipped) == (3, 0)
    (pulled,), got = remotes.pull(other, [rollouts.ref], url)
    assert got.objects == 3
    assert pulled.object == rollouts.object
    assert pulled.reason == rollouts.reason
    assert other.resolve(f"{pulled.ref}^policy^d").kind == "demos"
    assert all(other.verify(entry) == [] for entry in other.entries())
    assert other.find(Recipe.from_document(model.document)) is not None, "it is a cache hit there"
    assert check(other).clean
    assert [path.name for path in (other.root / "incoming").iterdir()] == []


def test_a_second_push_and_pull_move_nothing(
    store: Store, other: Store, make: Make, url: str
) -> None:
    rollouts = chain(make)[2]
    remotes.push(store, [rollouts], url)
    again = remotes.push(store, [rollouts], url)
    assert (again.objects, again.files, again.bytes, again.skipped) == (0, 0, 0, 3)
    remotes.pull(other, [rollouts.ref], url)
    _, got = remotes.pull(other, [rollouts.ref], url)
    assert (got.objects, got.bytes, got.skipped) == (0, 0, 3)


def test_a_pull_asks_once_for_the_records_of_what_several_were_made_from(
    store: Store, other: Store, make: Make, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    demos, model, rollouts = chain(make)
    remotes.push(store, [rollouts], url)
    asked: list[str] = []
    read = Remote.read
    monkeypatch.setattr(
        Remote, "read", lambda self, name, *rest: asked.append(name) or read(self, name, *rest)
    )
    remotes.pull(other, [rollouts.ref], url)
    for entry in (demos, model, rollouts):
        assert asked.count(records_name(entry.object)) == 1


def test_a_pull_mends_a_damaged_record_and_keeps_a_whole_one(
    store: Store, other: Store, make: Make, url: str
) -> None:
    _, model, rollouts = chain(make)
    remotes.push(store, [rollouts], url)
    remotes.pull(other, [rollouts.ref], url)
    places = [next(other.records.glob(f"*/*/{one.object}.json")) for one in (model, rollouts)]
    flip(places[1])
    kept = places[0].stat()
    (pulled,), _ = remotes.pull(other, [rollouts.ref], url)
    assert pulled.recipe == rollouts.recipe
    assert places[0].stat() == kept
    assert check(other).clean


def test_names_and_prefixes_can_be_pulled(store: Store, other: Store, make: Make, url: str) -> None:
    _, model, _ = chain(make)
    remotes.push(store, [model], url, names={"study/weak": model})
    (by_name,), _ = remotes.pull(other, ["study/weak"], url)
    assert other.names() == {"study/weak": model.ref}
    (by_prefix,), _ = remotes.pull(other, [f"model:{model.object[:10]}"], url)
    assert by_name.object == by_prefix.object == model.object
    with pytest.raises(UnknownReference, match="full digest"):
        remotes.pull(other, ["nothing"], url)
    with pytest.raises(UnknownReference, match="does not have"):
        remotes.pull(other, ["a" * 64], url)


def test_without_lineage_only_the_artifact_itself_travels(
    store: Store, other: Store, make: Make, url: str
) -> None:
    rollouts = chain(make)[2]
    assert remotes.push(store, [rollouts], url, lineage=False).objects == 1
    _, got = remotes.pull(other, [rollouts.ref], url)
    assert len(got.missing) == 2
    assert len(list(other.entries())) == 1
    assert check(other).clean


def blobs(folder: Path) -> list[Path]:
    return sorted((folder / "blobs").glob("*/*"), key=lambda path: path.stat().st_size)


@pytest.mark.parametrize("damage", ["flip", "longer", "missing", "manifest", "records"])
def test_a_damaged_remote_is_noticed_and_nothing_is_kept(
    store: Store, other: Store, make: Make, tmp_path: Path, damage: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("tratree_store.transport.TRIES", 1)
    url = tmp_path / "remote"
    rollouts = chain(make)[2]
    remotes.push(store, [rollouts], str(url))
    victim = blobs(url)[-1]
    if damage == "flip":
        flip(victim, 1000)
    elif damage == "longer":
        victim.write_bytes(victim.read_bytes()[:-5])
    elif damage == "missing":
        victim.unlink()
    elif damage == "manifest":
        flip(next((url / "manifests").glob("*/*")), 30)
    else:
        flip(next((url / "records").glob("*/*")), 30)
    with pytest.raises(StoreError):
        remotes.pull(other, [rollouts.ref], str(url))
    assert list(other.entries()) == []
    assert list(other.objects.glob("*/*")) == []
    assert check(other).clean


def test_a_broken_artifact_is_not_pushed(store: Store, make: Make, url: str) -> None:
    _, model, _ = chain(make)
    flip(model.path / "weights", 5)
    with pytest.raises(VerificationError, match="was not pushed"):
        remotes.push(store, [model], url)


def test_an_interrupted_pull_goes_on_where_it_stopped(
    store: Store, other: Store, make: Make, tmp_path: Path
) -> None:
    model = make("model", {"weights": "w" * 500_000})
    url = str(tmp_path / "remote")
    remotes.push(store, [model], url)
    other.prepare()
    incoming = other.root / "incoming"
    incoming.mkdir()
    digest = blobs(tmp_path / "remote")[-1].name
    (incoming / f"{digest}.part").write_bytes(b"w" * 400_000)
    moved: list[int] = []
    remotes.pull(other, [model.ref], url, on_progress=lambda done, total: moved.append(done))
    assert moved[-1] == 100_000, "only the rest was read"
    assert other.verify(other.resolve(model.ref)) == []


def test_a_wrong_beginning_from_an_earlier_try_is_thrown_away(
    store: Store, other: Store, make: Make, tmp_path: Path
) -> None:
    model = make("model", {"weights": "w" * 5000})
    url = str(tmp_path / "remote")
    remotes.push(store, [model], url)
    other.prepare()
    (other.root / "incoming").mkdir()
    digest = blobs(tmp_path / "remote")[-1].name
    (other.root / "incoming" / f"{digest}.part").write_bytes(b"x" * 4000)
    (entry,), _ = remotes.pull(other, [model.ref], url)
    assert other.verify(entry) == []


def test_an_interrupted_push_is_finished_by_the_next(
    store: Store, other: Store, make: Make, tmp_path: Path
) -> None:
    rollouts = chain(make)[2]
    url = tmp_path / "remote"
    remotes.push(store, [rollouts], str(url))
    for path in (*(url / "manifests").glob("*/*"), *(url / "records").glob("*/*")):
        path.unlink()
    blobs(url)[0].unlink()
    done = remotes.push(store, [rollouts], str(url))
    assert (done.objects, done.files) == (3, 1)
    remotes.pull(other, [rollouts.ref], str(url))
    assert check(other).clean


def test_a_remote_that_fails_now_and_then_is_tried_again(
    store: Store, make: Make, tmp_path: Path
) -> None:
    remote = Remote(str(tmp_path), pause=0.001)
    failures = iter([OSError("reset"), TimeoutError("slow"), RuntimeError("odd")])

    def shaky() -> str:
        for failure in failures:
            raise failure
        return "at last"

    assert remote.patiently("read from", shaky) == "at last"


def test_credentials_in_urls_are_never_told() -> None:
    url = "https://ann:s3cr3t%21@host/x?token=abc123&page=2"
    text = f"cannot reach {url} as ann with s3cr3t!"
    told = redacted(text, url)
    for secret in ("s3cr3t", "abc123", "ann:"):
        assert secret not in told
    assert "page=2" in told


@pytest.mark.parametrize(
    "url",
    [
        "ssh://ann:pa@s3cr3t@host/x",
        "s3://ann:s3cr3t/pa+ss@bucket/x",
        "simplecache::ssh://ann:s3cr3t@host/x",
        "https://host/x?X-Amz-Signature=s3cr3t",
    ],
)
def test_no_part_of_an_odd_password_is_told(url: str) -> None:
    for told in (redacted(f"no {url}", url), without_secrets(f"push {url} weak")):
        assert not [part for part in ("s3cr3t", "pa@", "pa+ss") if part in told]
    assert without_secrets("push http://host:80/a@b s3://bucket/model@latest").count("***") == 0


def test_a_password_is_known_in_every_way_of_quoting() -> None:
    forms = secrets_of("ssh://ann:pa/ss w@host/x".replace(" ", "%20"))
    assert {"pa/ss%20w", "pa/ss w", "pa%2Fss%20w"} <= set(forms)
    assert forms == sorted(forms, key=len, reverse=True)


def test_an_error_of_a_remote_does_not_quote_the_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        Remote("nosuchprotocol://ann:s3cr3t@host/x")
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The remote folder behind a plain web server."""
    (tmp_path / "remote").mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "remote"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_plain_web_server_can_be_pulled_from_and_not_pushed_to(
    store: Store, other: Store, make: Make, tmp_path: Path, web: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    pytest.importorskip("aiohttp", reason="http needs aiohttp (pip install fsspec[http])")
    monkeypatch.setattr("tratree_store.transport.TRIES", 1)
    _, model, rollouts = chain(make)
    remotes.push(store, [rollouts], str(tmp_path / "remote"), names={"weak": model})
    (entry,), got = remotes.pull(other, ["weak"], web)
    assert (entry.object, got.objects) == (model.object, 2)
    assert other.verify(entry) == []
    with pytest.raises(StoreError, match=r"read-only|annot write"):
        remotes.push(store, [make("tree", seed=5)], web)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A local server that speaks the S3 protocol, and a bucket on it."""
    pytest.importorskip("moto", reason="the S3 test needs moto[server] and s3fs")
    s3fs = pytest.importorskip("s3fs", reason="the S3 test needs moto[server] and s3fs")
    pytest.importorskip("flask", reason="the S3 test needs moto[server]")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for name, value in {
        "AWS_ACCESS_KEY_ID": "ann",
        "AWS_SECRET_ACCESS_KEY": "s3cr3t",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("bucket")
        yield "s3://bucket/team"
    finally:
        server.kill()
        server.wait()
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.slow
def test_a_real_s3_protocol_carries_artifacts_both_ways(
    store: Store, other: Store, make: Make, s3: str
) -> None:
    import s3fs

    _, model, rollouts = chain(make)
    done = remotes.push(store, [rollouts], s3, names={"weak": model})
    assert done.objects == 3
    assert remotes.push(store, [rollouts], s3).objects == 0
    (entry,), got = remotes.pull(other, ["weak"], s3)
    assert (entry.object, got.objects) == (model.object, 2)
    assert other.verify(entry) == []
    files = s3fs.S3FileSystem()
    victim = next(p for p in files.find("bucket/team/blobs") if files.size(p) == 300_000)
    files.pipe_file(victim, b"v" * 300_000)
    third = Store(other.root.parent / "third")
    with pytest.raises(VerificationError, match="other bytes"):
        remotes.pull(third, [rollouts.ref], s3)
    assert list(third.entries()) == []


Kill = Callable[..., "subprocess.Popen[str]"]


def test_a_pull_that_is_killed_in_the_middle_leaves_nothing_half_readable(
    store: Store, other: Store, make: Make, script: Kill, tmp_path: Path
) -> None:
    rollouts = chain(make)[2]
    url = tmp_path / "remote"
    remotes.push(store, [rollouts], str(url))
    code = (
        "import sys\nfrom pathlib import Path\nfrom tratree_store import Store\n"
        "from tratree_store.remote import pull\n"
        "pull(Store(Path(sys.argv[1])), [sys.argv[2]], sys.argv[3])"
    )
    for point in ("object.renamed", "record.pending", "record.renamed", "index.begun"):
        killed = script(code, other.root, rollouts.ref, url, TRATREE_STORE_FAULT=point)
        killed.communicate()
        assert killed.returncode == -9, point
        assert check(other).clean
        assert all(other.verify(entry) == [] for entry in other.entries())
    remotes.pull(other, [rollouts.ref], str(url))
    assert len(list(other.entries())) == 3
    assert check(other).clean
    assert os.listdir(other.root / "incoming") == []  # noqa: PTH208 - a plain listing is meant
