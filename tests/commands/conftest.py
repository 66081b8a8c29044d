"""Fixtures of the rooms whose commands are tested here."""

from tests.e2e.conftest import tratree
from tests.envs.conftest import edge60
from tests.store.conftest import make, store, warnings_seen

__all__ = ["edge60", "make", "store", "tratree", "warnings_seen"]
