"""The local API: every route with the role it needs, JSON in and out, errors in words.

It listens on a Unix socket only. A web page cannot reach that; should a proxy ever be put before it, requests that a
browser makes for a foreign page are refused all the same (Host, Origin, Sec-Fetch-Site).
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web

from protocols.errors import LocalError, PeerError
from secured_node.api.roles import LocalUser, Role, local_user
from secured_node.config import Roles
from secured_node.service import ServiceError
from secured_node.store.database import DatabaseError, StorageError
from secured_node.work.supervisor import JobFailed, WorkerDied

log = structlog.get_logger()

BODY_BYTES_MAX: Final = 4 << 20
"""Of a request: a schema and a mapping of a megabyte each, in JSON."""
SOCKET_MODE: Final = 0o666
"""Anybody on the machine may connect; the kernel's word for who it is decides what it may ask."""
STOP_S: Final = 1.0
"""So long an answer under way may still take when the daemon stops."""

Handler = Callable[[web.Request, dict[str, Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that can be asked. role: who may. handler: from the request and its JSON body to the answer."""

    method: str
    path: str
    role: Role
    handler: Handler


class Api:
    """The server. routes: all there is; roles: the present configuration's; words: a text with names for ids."""

    def __init__(
        self, routes: tuple[Route, ...], roles: Callable[[], Roles], words: Callable[[str], str] = lambda text: text
    ) -> None:
        self._roles, self._words = roles, words
        self._app = web.Application(client_max_size=BODY_BYTES_MAX)
        for route in routes:
            self._app.router.add_route(route.method, route.path, self._wrap(route))
        self._runner = web.AppRunner(
            self._app, access_log=None, auto_decompress=False, handle_signals=False, shutdown_timeout=STOP_S
        )

    async def start(self, path: Path) -> None:
        """Listen. A socket file that a dead daemon left behind is replaced."""
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - once, before anything runs
        await self._runner.setup()
        await web.UnixSite(self._runner, str(path)).start()
        os.chmod(path, SOCKET_MODE)  # noqa: PTH101 - said next to the constant

    async def stop(self) -> None:
        """Close all connections."""
        await self._runner.cleanup()

    def _wrap(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            try:
                user = self._user(request)
                _check_origin(request)
                if not user.may(route.role):
                    why = f"{user.name} has not the role {route.role!r}"
                    todo = "ask your administrator to add you to the Unix group of that role (section [roles])"
                    raise ServiceError(f"{route.method} {route.path}", why, todo, "forbidden", 403)
                request["user"] = user
                answer = await route.handler(request, await _body(request))
            except ServiceError as error:
                return _error(error.status, error.code, error.what, error.why, error.todo)
            except JobFailed as error:
                return _error(HTTPStatus.CONFLICT, "refused", error.reason, "", error.todo)
            except (LocalError, WorkerDied) as error:
                return _error(HTTPStatus.CONFLICT, "refused", self._words(str(error)))
            except PeerError as error:
                return _error(HTTPStatus.BAD_REQUEST, error.code, error.detail)
            except StorageError as error:
                return _error(HTTPStatus.INSUFFICIENT_STORAGE, "storage", "the hub cannot write", str(error))
            except DatabaseError as error:
                return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "storage", "what the hub keeps is damaged", str(error))
            if isinstance(answer, web.StreamResponse):
                return answer
            return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

        return serve

    def _user(self, request: web.Request) -> LocalUser:
        connection = request.transport.get_extra_info("socket") if request.transport else None
        if connection is None:
            raise ServiceError("the connection", "it is closed", code="closed")
        return local_user(connection, self._roles())


def _check_origin(request: web.Request) -> None:
    host = request.headers.get("Host", "").partition(":")[0]
    if host != "localhost":
        raise ServiceError("the request", "it is for another host", code="misdirected", status=421)
    if "Origin" in request.headers or request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        raise ServiceError("the request", "a web page of another origin made it", code="cross_origin", status=403)


async def _body(request: web.Request) -> dict[str, Any]:
    if request.headers.get("Content-Encoding"):
        raise ServiceError("the request", "compressed bodies are not read", code="encoding", status=415)
    data = await request.read()
    if not data:
        return {}
    try:
        body = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        raise ServiceError("the request", "its body is not a JSON object", code="bad_request") from None
    return body


def _error(status: int, code: str, what: str, why: str = "", todo: str = "") -> web.Response:
    body = {"error": {"code": code, "what": what, "why": why, "todo": todo}}
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")
