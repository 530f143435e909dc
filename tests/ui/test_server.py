"""The server's guard: strangers are refused, uploads end at the quota, answers carry their headers."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from streamlit.runtime import Runtime
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from streamlit.runtime.websocket_session_manager import WebsocketSessionManager

from timnet.ui import server

UPLOAD = "/_stcore/upload_file/session/file"


async def takes_all(scope, receive, send):
    """An application that reads the whole body and answers 204."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RuntimeError("the client went away")
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def ask(path="/", method="GET", headers=(), parts=(b"",), kind="http", guard=None):
    """Send one request; return what the guard sent, and how many parts of the body it took."""
    waiting = [
        {"type": "http.request", "body": part, "more_body": number < len(parts) - 1}
        for number, part in enumerate(parts)
    ]
    sent: list[dict] = []

    async def receive():
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    given = {"host": "127.0.0.1:8501", **dict(headers)}
    encoded = [(name.encode(), value.encode()) for name, value in given.items()]
    scope = {"type": kind, "path": path, "method": method, "headers": encoded}
    # In a thread of its own: a browser that other tests drive keeps a loop running in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, (guard or server.Guard(takes_all))(scope, receive, send)).result()
    return sent, len(parts) - len(waiting)


def status(sent):
    return sent[0]["status"]


@pytest.mark.parametrize("path", ["/", "/_stcore/health", "/fine_tune"])
def test_every_answer_names_what_the_browser_may_load(path):
    sent, _ = ask(path)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert headers["x-content-type-options"] == "nosniff"
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'" and policy["frame-ancestors"] == "'none'"
    assert not any("http" in sources or "*" in sources for sources in policy.values())


@pytest.mark.parametrize("path", ["/_stcore/metrics", "/base/_stcore/metrics", "/_stcore/agent/openapi.json"])
def test_sizes_and_counts_of_the_server_are_not_served(path):
    assert status(ask(path)[0]) == 404


@pytest.mark.parametrize(
    ("origin", "own"),
    [
        (None, True),
        ("http://127.0.0.1:8501", True),
        ("http://127.0.0.1:9999", False),
        ("http://localhost:8501", False),
        ("http://evil.example", False),
        ("null", False),
        ("http://[", False),
    ],
)
def test_another_port_or_site_opens_no_connection_and_changes_nothing(origin, own):
    headers = {} if origin is None else {"origin": origin}
    sent, _ = ask("/_stcore/stream", headers=headers, kind="websocket")
    assert [each["type"] for each in sent] == ["websocket.accept" if own else "websocket.close"]
    assert status(ask(UPLOAD, "PUT", headers)[0]) == (204 if own else 403)
    assert status(ask("/", "GET", headers)[0]) == 204


def test_an_upload_that_says_it_is_too_large_is_refused_unread(monkeypatch):
    monkeypatch.setattr(server, "SESSION_BYTES", 100)
    sent, taken = ask(UPLOAD, "PUT", {"content-length": "101"}, [b"x" * 101])
    assert status(sent) == 413 and taken == 0


def test_an_upload_that_does_not_say_its_size_ends_at_the_quota(monkeypatch):
    monkeypatch.setattr(server, "SESSION_BYTES", 100)
    guard = server.Guard(takes_all)
    sent, taken = ask(UPLOAD, "PUT", parts=[b"x" * 30] * 50, guard=guard)
    assert status(sent) == 413 and taken == 4
    assert status(ask(UPLOAD, "PUT", parts=[b"x" * 50] * 2, guard=guard)[0]) == 204


def test_what_sessions_hold_already_counts(monkeypatch):
    monkeypatch.setattr(server, "SESSION_BYTES", 100)
    monkeypatch.setattr(server, "SERVER_BYTES", 150)
    monkeypatch.setattr(server, "_held", lambda: (Counter(session=60, other=60), 120))
    assert status(ask(UPLOAD, "PUT", {"content-length": "30"}, [b"x" * 30])[0]) == 204
    assert status(ask(UPLOAD, "PUT", {"content-length": "31"}, [b"x" * 31])[0]) == 413


def test_a_refused_upload_is_said_on_its_visitors_page_until_one_is_let_in(monkeypatch):
    asked: list[str] = []
    listed = [
        SimpleNamespace(
            session=SimpleNamespace(id=name, _client_state=f"{name}'s", request_rerun=asked.append)
        )
        for name in ("session", "other")
    ]
    running = SimpleNamespace(
        _session_mgr=SimpleNamespace(list_sessions=lambda: listed),
        uploaded_file_mgr=SimpleNamespace(
            file_storage={"session": {"a": SimpleNamespace(data=b"x" * 2**20)}}
        ),
    )
    monkeypatch.setattr(server.runtime, "exists", lambda: True)
    monkeypatch.setattr(server.runtime, "get_instance", lambda: running)
    monkeypatch.setattr(server, "get_script_run_ctx", lambda **_: SimpleNamespace(session_id="session"))
    monkeypatch.setattr(server, "SESSION_BYTES", 3 * 2**20)
    assert server.refusal() == ""
    sent, _ = ask(UPLOAD, "PUT", {"content-length": str(5 * 2**20)})
    assert asked == ["session's"]
    sentence = (
        "upload: expected at most 3 MB of uploads at a time, yours together; a file of 5 MB beside 1 MB "
        "of yours was refused: remove some first"
    )
    assert server.refusal() == sent[1]["body"].decode() == sentence
    assert status(ask(UPLOAD, "PUT", {"content-length": "1"})[0]) == 204
    assert server.refusal() == ""
    monkeypatch.setattr(server, "SERVER_BYTES", 2 * 2**20)
    ask(UPLOAD, "PUT", parts=[b"x" * 2**19] * 4)
    assert "at most 2 MB of uploads at a time, those of all visitors together" in server.refusal()
    server._refused.clear()


def test_uploads_of_ended_sessions_are_let_go(monkeypatch):
    removed: list[str] = []
    listed = [SimpleNamespace(session=SimpleNamespace(id=name)) for name in ("here", "leaving")]
    running = SimpleNamespace(
        _session_mgr=SimpleNamespace(list_sessions=lambda: listed),
        uploaded_file_mgr=SimpleNamespace(
            file_storage={"here": {}, "gone": {}}, remove_session_files=removed.append
        ),
    )
    monkeypatch.setattr(server.runtime, "exists", lambda: True)
    monkeypatch.setattr(server.runtime, "get_instance", lambda: running)
    monkeypatch.setattr(server, "_sessions", {})
    server.release_ended()
    assert removed == ["gone"]
    ended: list[str] = []
    listed[1].session.shutdown = lambda: ended.append("shut down")
    listed[1].session.session_state = SimpleNamespace(clear=lambda: ended.append("cleared"))
    del listed[1]
    server.release_ended()
    server.release_ended()
    assert ended == ["shut down", "cleared"]


def test_streamlit_keeps_uploads_and_sessions_where_the_guard_looks():
    """The names are Streamlit's own and may change with it."""
    uploads = MemoryUploadedFileManager("/upload")
    uploads.add_file("session", UploadedFileRec("file", "a.png", "image/png", b"four"))
    assert [len(each.data) for each in uploads.file_storage["session"].values()] == [4]
    uploads.remove_session_files("session")
    assert "session" not in uploads.file_storage
    assert "list_sessions" in dir(WebsocketSessionManager)
    source = inspect.getsource(Runtime)
    assert "self._client_state = " in inspect.getsource(AppSession)
    assert "self._session_mgr = " in source and "def uploaded_file_mgr" in source
