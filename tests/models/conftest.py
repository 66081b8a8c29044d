"""The tiny chat models of the agents' tests, for the tests of the chat encoder as well."""

from __future__ import annotations

from tests.agents.conftest import chatml_model, inst_model

__all__ = ["chatml_model", "inst_model"]
