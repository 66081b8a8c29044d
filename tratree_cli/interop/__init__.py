"""The environments in the interfaces of other trainers: nothing here is used by tratree itself.

* :mod:`.gymnasium_env` and :mod:`.gymnasium_vector`: gymnasium's ``Env`` and ``VectorEnv``;
* :mod:`.trl_tools` and :mod:`.trl_rollout`: TRL's ``environment_factory`` and ``rollout_func``;
* :mod:`.skyrl`: ``skyrl_gym``; :mod:`.verl_interaction`: verl's ``BaseInteraction``;
* :mod:`.verl_agent`: ``build_webshop_envs`` and ``build_alfworld_envs`` of verl-agent;
* :mod:`.webshop_text_env`: WebShop's ``WebAgentTextEnv``.

The package belongs to the layer of ``envs``. Each module imports the trainer's package that it is
for, if any, and no other; :mod:`.opening` is what they share.
"""
