"""AgentGym's HTTP protocol, one file an environment: the paths, fields and texts of its servers.

Texts are those of the original environments, without ETO's ``Observation:`` in front. Step limits
are the originals' too (none in WebShop, 50 in ALFWorld, 100 in ScienceWorld) unless the server has
one. WebShop answers errors with a status, the other two with ``{"error": ...}`` and status 200, as
their clients expect.
"""

from __future__ import annotations

from collections.abc import Mapping

from tratree_cli.envs.serve.agentgym.alfworld import AlfWorldDialect
from tratree_cli.envs.serve.agentgym.dialect import Dialect
from tratree_cli.envs.serve.agentgym.scienceworld import ScienceWorldDialect
from tratree_cli.envs.serve.agentgym.webshop import WebShopDialect
from tratree_cli.envs.serve.service import Service

DIALECTS: Mapping[str, type[Dialect]] = {
    "webshop": WebShopDialect,
    "alfworld": AlfWorldDialect,
    "scienceworld": ScienceWorldDialect,
}


def dialect_of(service: Service) -> Dialect | None:
    """AgentGym's protocol for the environment that is served, if it has one."""
    kind = DIALECTS.get(service.environment.spec.name)
    return None if kind is None else kind(service)
