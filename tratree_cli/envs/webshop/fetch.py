"""Which official files WebShop needs and where its authors keep them.

The authors publish no checksums (see ``fetch_files``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tratree_cli.envs.download import DownloadSource
from tratree_cli.envs.fetch_files import choose_sources
from tratree_cli.envs.fetch_files import fetch_files as fetch

__all__ = ["FOLDER", "SETS", "fetch", "sources"]

FOLDER = Path("data/webshop")
"""Where `tratree env fetch` puts them by default."""
_DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id="
_HUMAN = DownloadSource("items_human_ins.json", _DRIVE + "14Kb5SPBk_jfdLZ_CDBNitW98QLDlKR5O")
SETS: Mapping[str, tuple[DownloadSource, ...]] = {
    "full": (
        DownloadSource("items_shuffle.json", _DRIVE + "1A2whVgOO0euk5O13n2iYDM0bQRRkRduB"),
        DownloadSource("items_ins_v2.json", _DRIVE + "1s2j6NgHljiZzQNL3veZaAiyW_qDEgBNi"),
        _HUMAN,
    ),
    "small": (
        DownloadSource("items_shuffle_1000.json", _DRIVE + "1EgHdxQ_YxqIQlvvq5iKlCrkEKR6-j0Ib"),
        DownloadSource("items_ins_v2_1000.json", _DRIVE + "1IduG0xl544V_A_jv3tHXC0kyFi7PnyBu"),
        _HUMAN,
    ),
}
"""``full`` is 5.2 GB (1,181,436 records), ``small`` 10 MB (1,000 records)."""


def sources(
    size: str | None = None,
    mirror: str | None = None,
    addresses: Mapping[str, str] | None = None,
    checksums: Mapping[str, str] | None = None,
) -> list[DownloadSource]:
    """The files of a set, at the authors' address, a mirror's folder, or one address each."""
    return choose_sources("WebShop", SETS, size or "full", mirror, addresses, checksums)
