"""An environment for other programs, over WebSocket and HTTP (``tratree env serve``).

``service`` plays episodes for sessions; ``openenv`` and ``agentgym`` put that into the words of two
protocols; ``asgi`` is the web application, ``server`` its processes. Nothing is imported here: the
web server's packages are the extra ``tratree[serve-env]``.
"""
