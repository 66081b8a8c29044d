"""Entries: "this recipe gave this object", one small sealed JSON record each.

``entries/ab/cdef…/OBJECT.json`` (the folder is the recipe's digest) holds the recipe's document and
what is only recorded: summary, provenance, time, reason. Together with the objects these records
are the whole truth; the SQLite index can be rebuilt from them. One folder per recipe makes the
question "is it cached?" one directory listing that does not grow with the store. A recipe that was
run again with another result has several records; the newest counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tratree_store.atomic import read_plain, seal, unseal
from tratree_store.errors import NewerRecord, VerificationError
from tratree_store.keys import (
    DOCUMENT_FORMAT,
    dump,
    input_digests,
    is_digest,
    is_word,
    recorded,
    sha256,
)
from tratree_store.objects import FILES, folder_of, names_in

RECORD_FORMAT = 1
_END_OF_TIME = 1e11


@dataclass(frozen=True)
class Entry:
    """One finished artifact.

    Attributes:
        kind: such as ``tree``.
        object: digest of its content (64 hex).
        recipe: digest of the recipe that made it (64 hex).
        document: the recipe's document, from which ``recipe`` is computed.
        path: folder with the files; read only.
        summary: what people want to see of it.
        provenance: command, versions, threads, effective configuration; never keyed.
        created: seconds since 1970 when it was published.
        seconds: how long the stage took.
        size: bytes of all files.
        stage: name of the stage that made it.
        reason: why it was not cached (see ``why``), as JSON.
    """

    kind: str
    object: str
    recipe: str
    document: dict[str, Any]
    path: Path
    summary: dict[str, Any]
    provenance: dict[str, Any]
    created: float
    seconds: float
    size: int
    stage: str
    reason: dict[str, Any] = field(default_factory=dict)

    @property
    def ref(self) -> str:
        """The full reference, ``kind:object``."""
        return f"{self.kind}:{self.object}"

    @property
    def inputs(self) -> dict[str, tuple[str, ...]]:
        """role -> object digests that it was made from."""
        return input_digests(self.document)


def record_path(entries: Path, recipe: str, digest: str) -> Path:
    """Where the record of (recipe, object) lies."""
    return entries / recipe[:2] / recipe[2:] / f"{digest}.json"


def encode(entry: Entry) -> bytes:
    """The sealed record of an entry."""
    return seal(
        {
            "format": RECORD_FORMAT,
            "kind": entry.kind,
            "object": entry.object,
            "recipe": entry.recipe,
            "stage": entry.stage,
            "document": entry.document,
            "summary": recorded(entry.summary),
            "provenance": recorded(entry.provenance),
            "created": round(entry.created, 3),
            "seconds": round(entry.seconds, 3),
            "size": entry.size,
            "reason": recorded(entry.reason),
        }
    )


def decode(data: bytes, objects: Path, what: str) -> Entry:
    """The entry in a record; raises ``VerificationError`` unless every digest in it fits.

    Besides the seal, the recipe digest is recomputed from the document: a record that somebody
    else sealed cannot claim a key that its document does not have.
    """
    record = unseal(data, what)
    try:
        document: Mapping[str, Any] = record["document"]
        formats = (record["format"], RECORD_FORMAT), (document["format"], DOCUMENT_FORMAT)
        if newer := [number for number, known in formats if type(number) is int and number > known]:
            raise NewerRecord(f"{what} has format {newer[0]}; a newer tratree can read it")
        entry = Entry(
            kind=str(record["kind"]),
            object=str(record["object"]),
            recipe=str(record["recipe"]),
            document=dict(document),
            path=folder_of(objects, str(record["object"])) / FILES,
            summary=dict(record["summary"]),
            provenance=dict(record["provenance"]),
            created=float(record["created"]),
            seconds=float(record["seconds"]),
            size=int(record["size"]),
            stage=str(record["stage"]),
            reason=dict(record["reason"]),
        )
        sound = (
            all(type(number) is int and number > 0 for number, _ in formats)
            and is_digest(entry.object)
            # Kind and stage are printed, times are converted; a stranger may have written them.
            and is_word(entry.kind)
            and is_word(entry.stage)
            and 0 <= entry.created < _END_OF_TIME
            and 0 <= entry.seconds < _END_OF_TIME
            and entry.size >= 0
            and sha256(dump(document)) == entry.recipe
            and document["kind"] == entry.kind
            and document["stage"] == entry.stage
            and all(is_digest(d) for digests in entry.inputs.values() for d in digests)
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        sound = False
    if not sound:
        raise VerificationError(f"{what} is not the record of an artifact")
    return entry


def read(path: Path, objects: Path) -> Entry:
    """The entry in the record at ``path``; raises ``VerificationError`` or ``OSError``."""
    entry = decode(read_plain(path), objects, f"record {path.name[:12]}")
    if path.name != f"{entry.object}.json" or path.parent.name != entry.recipe[2:]:
        raise VerificationError(f"record {path} lies in the wrong place")
    return entry


def of_recipe(entries: Path, recipe: str) -> list[Path]:
    """The records of one recipe; empty if there are none."""
    folder = entries / recipe[:2] / recipe[2:]
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".json")
    except (FileNotFoundError, NotADirectoryError):
        return []


def all_records(entries: Path) -> Iterator[Path]:
    """Every record on disk, in order of recipe digest."""
    for shard in names_in(str(entries), folders=True):
        for folder in names_in(f"{entries}/{shard}", folders=True):
            for name in names_in(f"{entries}/{shard}/{folder}"):
                if name.endswith(".json"):
                    yield Path(f"{entries}/{shard}/{folder}/{name}")
