"""Every route of the local API, with its role. A route that is not here does not exist."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from protocols.invitation.desk import EXPIRES_S
from protocols.job.kinds import TEXT_CHARS_MAX, Answer
from secured_node.api.metrics import metrics
from secured_node.api.roles import Role
from secured_node.api.server import Route
from secured_node.membership import Membership
from secured_node.naming import fitting
from secured_node.service import Service, ServiceError
from secured_node.store.audit import first_bad_entry
from secured_node.store.store import Store

AUDIT_ENTRIES_MAX = 10_000
"""Entries in one answer."""
DIGITS_MAX = 19
"""Of a number in a request: SQLite's integers have 63 bits."""


def _text(body: dict[str, Any], key: str, default: str | None = None) -> str:
    value = body.get(key, default)
    if not isinstance(value, str):
        raise ServiceError(f"field {key!r}", "it is missing or not a text", code="bad_request")
    return value


def _reason(body: dict[str, Any]) -> str:
    """Why somebody answered a job so; it becomes a part of a record."""
    reason = _text(body, "reason", "")
    if len(reason) > TEXT_CHARS_MAX:
        raise ServiceError(
            "the reason", f"it has {len(reason)} characters, at most {TEXT_CHARS_MAX} are sent", "", "long"
        )
    return reason


def _texts(body: dict[str, Any], key: str) -> tuple[str, ...]:
    value = body.get(key) or ()
    if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
        raise ServiceError(f"field {key!r}", "it is not a list of texts", code="bad_request")
    return tuple(value)


def _number(value: object, key: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ServiceError(f"field {key!r}", "it is not a number", code="bad_request")


def _flag(body: dict[str, Any], key: str) -> bool:
    """A yes or no. `ask_only`: say whether it could be done, and do nothing; people are asked whether they mean it only
    then."""
    value = body.get(key, False)
    if not isinstance(value, bool):
        raise ServiceError(f"field {key!r}", "it is neither true nor false", code="bad_request")
    return value


def _count(request: web.Request, key: str, default: int) -> int:
    text = request.query.get(key, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < DIGITS_MAX):
        raise ServiceError(f"field {key!r}", "it is not a whole number", code="bad_request")
    return int(text)


def routes(service: Service, membership: Membership, store: Store, endpoints: tuple[str, ...]) -> tuple[Route, ...]:
    """The table. endpoints: what invitations name unless they say otherwise."""
    return (
        *_about(service, store),
        *_membership(service, membership, endpoints),
        *_jobs(service),
        *_data(service),
    )


def _about(service: Service, store: Store) -> tuple[Route, ...]:
    async def status(_: web.Request, __: dict[str, Any]) -> Any:
        return service.status()

    async def health(_: web.Request, __: dict[str, Any]) -> Any:
        return {"ok": True}

    async def numbers(_: web.Request, __: dict[str, Any]) -> web.Response:
        return web.Response(text=metrics(service.status()), content_type="text/plain")

    async def audit(request: web.Request, _: dict[str, Any]) -> Any:
        first = _count(request, "first", 1)
        entries = await store.entries(first, AUDIT_ENTRIES_MAX)
        shown = [
            {"sequence": e.sequence, "time": e.time, "event": e.event, "body": msgspec.json.decode(e.body)}
            | {"digest": e.digest.hex()}
            for e in entries
        ]
        return {"entries": shown}

    async def verify(_: web.Request, __: dict[str, Any]) -> Any:
        entries = await store.entries()
        bad = first_bad_entry(entries)
        return {
            "entries": len(entries),
            "ok": bad is None,
            "first_bad": bad[0] if bad else None,
            "why": bad[1] if bad else "",
        }

    return (
        Route("GET", "/v1/status", Role.ANYONE, status),
        Route("GET", "/health", Role.ANYONE, health),
        Route("GET", "/metrics", Role.ANYONE, numbers),
        Route("GET", "/v1/audit", Role.ADMIN, audit),
        Route("GET", "/v1/audit/verify", Role.ADMIN, verify),
    )


def _membership(service: Service, membership: Membership, endpoints: tuple[str, ...]) -> tuple[Route, ...]:
    async def members(request: web.Request, _: dict[str, Any]) -> Any:
        waiting = membership.waiting()
        if not request["user"].may(Role.ADMIN):  # who may not approve has nothing to compare
            waiting = [{**row, "words": []} for row in waiting]
        return {"members": membership.members(), "waiting": waiting}

    async def invite(_: web.Request, body: dict[str, Any]) -> Any:
        where = _texts(body, "endpoints") or endpoints
        if not where:
            todo = "set network.endpoints in the configuration and restart, or give --endpoint"
            why = "this hub does not know where others reach it"
            raise ServiceError("no invitation", why, todo, "no_endpoint", 409)
        return {"code": await membership.invite(where, _number(body.get("expires_s", EXPIRES_S), "expires_s"))}

    async def approve(_: web.Request, body: dict[str, Any]) -> Any:
        return await membership.approve(_candidate(service, membership, _text(body, "node")))

    async def refuse(_: web.Request, body: dict[str, Any]) -> Any:
        node = _candidate(service, membership, _text(body, "node"))
        await membership.refuse(node, _text(body, "reason", ""))
        return {"node": node}

    async def revoke(_: web.Request, body: dict[str, Any]) -> Any:
        node, reason = service.find_node(_text(body, "node")), _text(body, "reason", "")
        ends, last_steward = membership.ends_with(node), _flag(body, "last_steward")
        if _flag(body, "ask_only"):
            membership.revocation(node, reason, last_steward=last_steward)
        else:
            await membership.revoke(node, reason, last_steward=last_steward)
        return {"node": node, "name": service.name(node), "ends": ends}

    return (
        Route("GET", "/v1/members", Role.ANYONE, members),
        Route("POST", "/v1/invitations", Role.ADMIN, invite),
        Route("POST", "/v1/members/approve", Role.ADMIN, approve),
        Route("POST", "/v1/members/refuse", Role.ADMIN, refuse),
        Route("POST", "/v1/members/revoke", Role.ADMIN, revoke),
    )


def _candidate(service: Service, membership: Membership, text: str) -> Any:
    """Who waits for approval under this id, name or end of an id."""
    fits = fitting(text, ((w["node"], w["name"]) for w in membership.waiting()))
    return fits[0] if len(fits) == 1 else service.find_node(text)


def _jobs(service: Service) -> tuple[Route, ...]:
    async def listed(_: web.Request, __: dict[str, Any]) -> Any:
        return {"jobs": service.list_jobs()}

    async def submit(_: web.Request, body: dict[str, Any]) -> Any:
        return await service.submit(body)

    async def show(request: web.Request, _: dict[str, Any]) -> Any:
        job = service.find_job(request.match_info["job"])
        shown = service.show_job(job)
        if request["user"].may(Role.DATA):  # it may name files and columns of this site
            shown["reason_here"] = await service.reason_here(job)
        return shown

    async def approve(request: web.Request, _: dict[str, Any]) -> Any:
        return await service.decide_job(request.match_info["job"], Answer.JOIN)

    async def refuse(request: web.Request, body: dict[str, Any]) -> Any:
        return await service.decide_job(request.match_info["job"], Answer.REFUSE, _reason(body))

    async def cancel(request: web.Request, body: dict[str, Any]) -> Any:
        return await service.cancel(request.match_info["job"], _reason(body))

    async def result(request: web.Request, _: dict[str, Any]) -> Any:
        return await service.result(request.match_info["job"])

    return (
        Route("GET", "/v1/jobs", Role.ANYONE, listed),
        Route("POST", "/v1/jobs", Role.RESEARCH, submit),
        Route("GET", "/v1/jobs/{job}", Role.ANYONE, show),
        Route("POST", "/v1/jobs/{job}/approve", Role.DATA, approve),
        Route("POST", "/v1/jobs/{job}/refuse", Role.DATA, refuse),
        Route("POST", "/v1/jobs/{job}/cancel", Role.RESEARCH, cancel),
        Route("GET", "/v1/jobs/{job}/result", Role.RESEARCH, result),
    )


def _data(service: Service) -> tuple[Route, ...]:
    async def listed(_: web.Request, __: dict[str, Any]) -> Any:
        return {"data": service.list_data()}

    async def catalogue(_: web.Request, __: dict[str, Any]) -> Any:
        return {"catalogue": service.catalogue()}

    async def check(_: web.Request, body: dict[str, Any]) -> Any:
        return await service.check_data(_data_fields(body))

    async def add(_: web.Request, body: dict[str, Any]) -> Any:
        return await service.add_data(_data_fields(body), replace=_flag(body, "replace"))

    async def groups(request: web.Request, _: dict[str, Any]) -> Any:
        return {"groups": service.groups(request.query.get("of"))}

    async def alone(_: web.Request, body: dict[str, Any]) -> Any:
        if _flag(body, "ask_only"):
            service.may_stand_alone(_text(body, "data"))
            return {"groups": service.groups()}
        return {"groups": await service.stand_alone(_text(body, "data"))}

    return (
        Route("GET", "/v1/data", Role.DATA, listed),
        Route("GET", "/v1/catalogue", Role.ANYONE, catalogue),
        Route("POST", "/v1/data/check", Role.DATA, check),
        Route("POST", "/v1/data", Role.DATA, add),
        Route("GET", "/v1/groups", Role.ANYONE, groups),
        Route("POST", "/v1/groups/alone", Role.DATA, alone),
    )


def _data_fields(body: dict[str, Any]) -> dict[str, str]:
    return {"path": _text(body, "path"), "schema": _text(body, "schema"), "mapping": _text(body, "mapping", "")}
