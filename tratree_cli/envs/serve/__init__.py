"""An environment for other programs, over WebSocket and HTTP (``tratree env serve``).

``service`` plays episodes for sessions; ``openenv`` and ``agentgym`` translate that into two
protocols; ``asgi`` is the web application, ``server`` its processes. Nothing is imported here: the
web server's packages are the extra ``tratree[serve-env]``.
"""
