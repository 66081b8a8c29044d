"""A node made from the record of an artifact instead of a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tratree_cli.config import from_dict
from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Locations, Node
from tratree_cli.pipeline.parameters import read_parameters
from tratree_cli.pipeline.registry import stage_named
from tratree_cli.stages.environments import environment_spec, prompt_folder
from tratree_cli.stages.evaluation_protocol import under_protocol

if TYPE_CHECKING:
    from tratree_store import Entry


def recorded_node(entry: Entry, inputs: Mapping[str, Sequence[Entry]]) -> Node:
    """The node that made ``entry``, with these artifacts as its inputs.

    Raises ``InputError`` where this version of tratree does not know the stage or its parameters,
    or has another version of the stage.
    """
    document, provenance = entry.document, entry.provenance
    origin = f"the recipe of {entry.ref[:24]}"
    stage = stage_named(entry.stage)
    if document["stage_version"] != stage.version:
        raise InputError(
            f"{entry.ref[:24]} was made by version {document['stage_version']} of the stage "
            f"'{stage.name}'; this tratree has version {stage.version}, which makes other bytes"
        )
    params = read_parameters(stage.parameters, document["params"], f"the parameters in {origin}")
    config = from_dict(provenance["config"], origin)
    played = under_protocol(config) if stage.name == "eval" else config
    environment, templates = document.get("environment"), document.get("templates", {})
    return Node(
        stage=stage,
        label=str(provenance.get("label", entry.stage)),
        config=config,
        params=params,
        inputs=inputs,
        environment=environment,
        models=document.get("models", {}),
        templates=templates,
        locations=Locations(
            environment=environment_spec(played) if environment else None,
            prompt=prompt_folder(played) if "prompt" in templates else None,
            base_models=(config.models.weak, config.models.strong),
        ),
    )
