"""OpenEnv over HTTP: health, schema, metadata, the Task API, and episodes by number.

An episode is played by naming the ``episode_id`` that ``POST /reset`` returned in every step, and
is freed when it is done. The stock server cannot play one over HTTP at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tratree_cli import __version__
from tratree_cli.envs.serve.openenv import SCHEMA, action_of, reset_data, step_data
from tratree_cli.envs.serve.requests import HttpReply, HttpRequest
from tratree_cli.envs.serve.service import Service
from tratree_cli.envs.serve.sessions import ProtocolError
from tratree_cli.envs.task_choice import whole_number
from tratree_cli.errors import InputError

STATUS = {"CAPACITY_REACHED": 503, "SESSION_ERROR": 409, "EXECUTION_ERROR": 409}
"""HTTP statuses of error codes; 400 for the others."""


class OpenEnvHttp:
    """The HTTP side: health, schema, metadata, the Task API, and episodes by number."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._routes: dict[tuple[str, str], Callable[[HttpRequest], Awaitable[HttpReply]]] = {
            ("GET", "/schema"): self._schema,
            ("GET", "/metadata"): self._metadata,
            ("GET", "/state"): self._state,
            ("POST", "/reset"): self._reset,
            ("POST", "/step"): self._step,
            ("GET", "/list_environments"): self._list,
        }

    async def answer(self, request: HttpRequest) -> HttpReply | None:
        """The reply, or None where the path is none of OpenEnv's."""
        route = self._routes.get((request.method, request.path))
        try:
            if route is not None:
                return await route(request)
            return self._task_api(request)
        except ProtocolError as error:
            status = STATUS.get(error.code, 400)
            return HttpReply(status, {"detail": str(error), "code": error.code})
        except InputError as error:
            return HttpReply(400, {"detail": str(error), "code": "VALIDATION_ERROR"})

    async def _schema(self, request: HttpRequest) -> HttpReply:
        return HttpReply(200, SCHEMA)

    async def _metadata(self, request: HttpRequest) -> HttpReply:
        spec = self._service.environment.spec
        return HttpReply(
            200,
            {
                "name": spec.name,
                "description": f"{spec.name} in tratree, data {spec.data_digest[:12]}",
                "readme_content": None,
                "version": __version__,
                "author": None,
                "documentation_url": None,
            },
        )

    async def _list(self, request: HttpRequest) -> HttpReply:
        return HttpReply(200, [self._service.environment.spec.name])

    async def _state(self, request: HttpRequest) -> HttpReply:
        number = request.query.get("episode_id")
        if number is None:
            return HttpReply(200, self._service.state(None))
        session = self._service.sessions.numbered(whole_number("episode_id", number))
        return HttpReply(200, self._service.state(session) | {"episode_id": number})

    async def _reset(self, request: HttpRequest) -> HttpReply:
        service, wanted = self._service, request.fields()
        number, session = service.sessions.open_numbered()
        try:
            answer = await service.call(session, service.reset, session, wanted)
        except BaseException:
            service.sessions.close_numbered(number)
            raise
        data = reset_data(answer, wanted)
        metadata = data.get("metadata", {}) | {"episode_id": str(number)}
        return HttpReply(200, data | {"metadata": metadata})

    async def _step(self, request: HttpRequest) -> HttpReply:
        service, fields = self._service, request.fields()
        action = fields.get("action")
        if "episode_id" not in fields or not isinstance(action, dict):
            raise InputError(
                "a step over HTTP has an action (an object) and the episode_id that /reset "
                "returned; over /ws it needs none"
            )
        number = whole_number("episode_id", fields["episode_id"])
        session = service.sessions.numbered(number)
        answer = await service.call(session, service.step, session, action_of(action))
        if answer.state.done:
            service.sessions.close_numbered(number)
        return HttpReply(200, step_data(answer))

    def _task_api(self, request: HttpRequest) -> HttpReply | None:
        """``/NAME/splits`` and ``/NAME/tasks``, ``num_tasks``, ``task``, ``task_range``."""
        name = self._service.environment.spec.name
        root, _, what = request.path[1:].rpartition("/")
        if what not in ("splits", "tasks", "num_tasks", "task", "task_range") or not root:
            return None
        if root != name:
            return HttpReply(404, {"detail": f"there is no environment '{root[:80]}' but {name}"})
        if request.method != ("GET" if what == "splits" else "POST"):
            return HttpReply(405, {"detail": f"{what} does not answer {request.method}"})
        chooser = self._service.tasks
        if what == "splits":
            kinds = {"train": "train", "test": "test"}
            splits = [{"name": s, "type": kinds.get(s, "validation")} for s in chooser.splits]
            return HttpReply(200, splits)
        fields = request.fields()
        split = fields.get("split")
        if not isinstance(split, str):
            raise InputError("split is missing, or no text")
        tasks = chooser.tasks(split)
        if what == "num_tasks":
            return HttpReply(200, {"num_tasks": len(tasks)})
        if what == "task":
            task = chooser.choose(split=split, index=fields.get("index", -1))
            return HttpReply(200, {"task": {"split": split, "task": task}})
        bounds = [fields.get("start"), fields.get("stop")] if what == "task_range" else [None, None]
        start, stop = (None if bound is None else whole_number("bound", bound) for bound in bounds)
        listed = [{"split": split, "task": task} for task in tasks[start:stop]]
        return HttpReply(200, {"tasks": listed} | ({"env_name": name} if what == "tasks" else {}))
