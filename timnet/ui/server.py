"""The web server around the pages: who may talk to it, how much it takes in, what its answers allow.

Owns what Streamlit leaves open: other sites' pages (and other ports of this machine) may open no connection,
uploads end at a quota while they are received, sizes and counts of the server are not served, and every
answer tells the browser to load nothing from elsewhere and to show the app in no other site's frame.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.web.server.server_util import is_allowed_origin

SESSION_BYTES = 200 * 2**20
"""Most bytes of uploads that one visitor's session may hold."""
SERVER_BYTES = 2**30
"""Most bytes of uploads that all sessions together may hold."""
SWEEP_SECONDS = 5.0
"""How often the uploads of sessions that have ended are let go."""

HEADERS = {
    # Streamlit's own pages compile code in the browser and style elements inline; films are data and blobs.
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self' blob: data:; worker-src 'self' blob:; media-src 'self' blob:; object-src 'none'; "
        "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
}
_CLOSED = ("/_stcore/metrics", "/_stcore/agent")
_UPLOAD = "/_stcore/upload_file/"
_SAFE = ("GET", "HEAD", "OPTIONS")


class Guard:
    """ASGI middleware: refuse strangers and what is too much, and add the headers to each answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._receiving: Counter[str] = Counter()
        """Session -> bytes of uploads that are being received."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        foreign = not same_origin(headers.get("origin"), headers.get("host", ""))
        if scope["type"] == "websocket":
            if foreign:
                await send({"type": "websocket.close", "code": 1008})
            else:
                await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        path, method = scope["path"], scope["method"]
        if any(closed in path for closed in _CLOSED):
            await PlainTextResponse("not served", 404)(scope, receive, answer)
        elif foreign and method not in _SAFE:
            words = "expected a page of this app, got one from elsewhere"
            await PlainTextResponse(words, 403)(scope, receive, answer)
        elif _UPLOAD in path and method not in _SAFE and method != "DELETE":
            await self._upload(scope, receive, answer, headers)
        else:
            await self._app(scope, receive, answer)

    async def _upload(self, scope: Scope, receive: Receive, send: Send, headers: dict[str, str]) -> None:
        """Pass an upload on while it stays within the quotas; it ends at the first byte beyond."""
        session = scope["path"].split(_UPLOAD, 1)[1].split("/", 1)[0]
        own, every = _held()
        room = min(
            SESSION_BYTES - own[session] - self._receiving[session],
            SERVER_BYTES - every - sum(self._receiving.values()),
        )
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > room:
            words = _too_much(session, own[session], int(length))
            await PlainTextResponse(words, 413)(scope, receive, send)
            return
        _refused.pop(session, None)
        received = 0
        over = answered = False

        async def counted() -> Message:
            nonlocal received, over
            message = await receive()
            size = len(message.get("body", b""))
            received += size
            self._receiving[session] += size
            if received > room:
                over = True
                return {"type": "http.disconnect"}
            return message

        async def passed(message: Message) -> None:
            nonlocal answered
            if not over:
                answered = True
                await send(message)

        try:
            await self._app(scope, counted, passed)
        except Exception:
            # Whatever a handler makes of an upload that ends before its end.
            if not over:
                raise
        finally:
            self._receiving[session] -= received
        if over and not answered:
            await PlainTextResponse(_too_much(session, own[session], received), 413)(scope, receive, send)


_sessions: dict[str, Any] = {}
"""The sessions that the last sweep saw, by their ids."""
_refused: dict[str, str] = {}
"""Why a session's last upload was refused, until the next one is let in."""

MIDDLEWARE = [Middleware(Guard)]


def same_origin(origin: str | None, host: str) -> bool:
    """Return whether a request's Origin is the app itself, or listed in server.corsAllowedOrigins.

    Programs send no Origin; a browser's page from another site or port cannot leave its own out.
    """
    if origin is None:
        return True
    with suppress(ValueError):
        if urlsplit(origin).netloc.lower() == host.lower():
            return True
    return is_allowed_origin(origin)


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Let the uploads of ended sessions go while the server runs, without waiting for the next visitor.

    What a reading imports is imported meanwhile: the first visitor's browser takes as long to open the page.
    """
    task = asyncio.create_task(_sweep())
    threading.Thread(target=_import, daemon=True).start()
    try:
        yield
    finally:
        task.cancel()


def _import() -> None:
    for name in ("timnet.reader", "torchvision.models"):
        importlib.import_module(name)


async def _sweep() -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        release_ended()


def release_ended() -> None:
    """Let go of what sessions that have ended held: uploads, pictures and state.

    Streamlit forgets a session whose time is up, but shuts it down only as Python collects it, which may be
    long after and waits for the next visitor.
    """
    if not runtime.exists():
        return
    running = runtime.get_instance()
    listed = {each.session.id: each.session for each in running._session_mgr.list_sessions()}
    for ended in set(_sessions) - set(listed):
        session = _sessions.pop(ended)
        session.shutdown()
        session.session_state.clear()
        _refused.pop(ended, None)
    _sessions.update(listed)
    uploads: Any = running.uploaded_file_mgr
    for ended in set(uploads.file_storage) - set(listed):
        uploads.remove_session_files(ended)


def _held() -> tuple[Counter[str], int]:
    """Return the bytes of uploads that each session holds, and those of all."""
    held: Counter[str] = Counter()
    if runtime.exists():
        storage: Any = runtime.get_instance().uploaded_file_mgr
        for session, uploads in list(storage.file_storage.items()):
            held[session] = sum(len(each.data) for each in list(uploads.values()))
    return held, sum(held.values())


def refusal() -> str:
    """Return why this visitor's last upload was refused; empty where it was not."""
    context = get_script_run_ctx(suppress_warning=True)
    return _refused.get(context.session_id, "") if context else ""


def _too_much(session: str, own: int, size: int) -> str:
    """Return why an upload is too much, and have its page say so: the browser shows a status alone."""
    whose, limit = (
        ("yours", SESSION_BYTES) if own + size > SESSION_BYTES else ("those of all visitors", SERVER_BYTES)
    )
    sentence = (
        f"upload: expected at most {limit >> 20} MB of uploads at a time, {whose} together; a file of "
        f"{size / 2**20:.0f} MB beside {own / 2**20:.0f} MB of yours was refused: remove some first"
    )
    if runtime.exists():
        for each in runtime.get_instance()._session_mgr.list_sessions():
            if each.session.id == session:
                _refused[session] = sentence
                each.session.request_rerun(each.session._client_state)
    return sentence
