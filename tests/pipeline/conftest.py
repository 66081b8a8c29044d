"""Fixtures of the store."""

from tests.store.conftest import make, store, warnings_seen

__all__ = ["make", "store", "warnings_seen"]
