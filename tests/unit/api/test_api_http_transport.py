"""Many requests at once over aiohttp, as httpx's client sees them: of a real server, or of one that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from deepcoder_api.connections import SocketOption
from deepcoder_api.http_transport import ERRORS, AiohttpTransport

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Reply = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def served(
    handler: Handler, unix_socket: Path | None = None, certificate: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A server whose every route is `handler`; its URL."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, handler_cancellation=True)
    await runner.setup()
    site = (
        web.UnixSite(runner, str(unix_socket))
        if unix_socket
        else web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate)
    )
    await site.start()
    try:
        scheme = "https" if certificate else "http"
        yield "http://server" if unix_socket else f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def bytes_served(reply: Reply) -> AsyncIterator[str]:
    """A server that takes a request's head and does what `reply` does; its URL."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            await reply(reader, writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def client(seconds: float = 30.0, *, connections: int | None = None, unix_socket: str | None = None):
    transport = AiohttpTransport(connections=connections, unix_socket=unix_socket)
    return httpx.AsyncClient(transport=transport, timeout=httpx.Timeout(30.0, read=seconds), trust_env=False)


async def test_a_request_arrives_as_it_was_given() -> None:
    """Method, path as it is escaped, query, headers and body; nothing of aiohttp's own is added."""
    seen: list[tuple[str, str, dict[str, str], bytes]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        return web.Response(status=207, reason="Some", headers={"X-Twice": "a"}, body=b"done")

    async with served(handler) as url, client() as http:
        response = await http.put(f"{url}/a%2Fb/%20?q=1%2B1", content=b"body", headers={"x-one": "1"})
        empty = await http.get(url)
    assert (response.status_code, response.reason_phrase, response.headers["x-twice"]) == (207, "Some", "a")
    assert (response.content, response.http_version, empty.status_code) == (b"done", "HTTP/1.1", 207)
    method, path, headers, body = seen[0]
    assert (method, path, body) == ("PUT", "/a%2Fb/%20?q=1%2B1", b"body")
    assert headers["User-Agent"].startswith("python-httpx/")
    assert (headers["x-one"], headers["Content-Length"], headers["Host"]) == ("1", "4", url.removeprefix("http://"))
    assert "Content-Type" not in headers
    assert "Content-Length" not in seen[1][2]


async def test_what_is_compressed_is_unpacked_once() -> None:
    """By httpx, which asked for it."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b"plain"), headers={"Content-Encoding": "gzip"})

    async with served(handler) as url, client() as http:
        assert (await http.get(url)).content == b"plain"


async def test_a_redirect_is_an_answer_like_others() -> None:
    """httpx decides whether it is followed."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/there"})

    async with served(handler) as url, client() as http:
        assert (await http.get(url)).status_code == 302


async def test_a_streamed_answer_is_there_before_its_end() -> None:
    """The second part is sent once the first one was read."""
    read = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first ")
        await asyncio.wait_for(read.wait(), 10)
        await response.write(b"second")
        return response

    found = []
    async with served(handler) as url, client() as http, http.stream("GET", url) as response:
        async for part in response.aiter_bytes():
            found.append(part)
            read.set()
    assert found == [b"first ", b"second"]


async def test_three_hundred_requests_are_under_way_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is answered before all are there; afterwards their connections serve again, as long as they are kept."""
    monkeypatch.setattr("deepcoder_api.http_transport.IDLE_SECONDS", 600.0)
    peers = set[tuple[str, int]]()
    everyone = asyncio.Barrier(300)

    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        await everyone.wait()
        return web.Response(text="there")

    async with served(handler) as url, client() as http:
        for _ in range(2):
            answers = await asyncio.gather(*(http.post(url, json={"n": n}) for n in range(300)))
            assert {answer.text for answer in answers} == {"there"}
    assert len(peers) == 300


async def test_no_more_connections_than_allowed() -> None:
    """The third request waits for one of two."""
    under_way: list[int] = []
    count = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal count
        count += 1
        under_way.append(count)
        await asyncio.sleep(0.02)
        count -= 1
        return web.Response()

    async with served(handler) as url, client(connections=2) as http:
        await asyncio.gather(*(http.get(url) for _ in range(6)))
    assert max(under_way) == 2


async def test_a_unix_socket_is_a_server_too(tmp_path: Path) -> None:
    """Whatever host the URL names."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=request.path)

    path = tmp_path / "socket"
    async with served(handler, path) as url, client(unix_socket=str(path)) as http:
        assert (await http.get(f"{url}/here")).text == "/here"


def certificate_of_loopback(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate that signed itself, and a server's context with it."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now, address = datetime.now(UTC), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file, secret = folder / "certificate.pem", folder / "key.pem"
    file.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, secret)
    return file, context


async def test_a_server_is_believed_whose_certificate_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nobody vouches for is none; SSL_CERT_FILE counts where the environment may say so."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text="secret")

    file, context = certificate_of_loopback(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with served(handler, certificate=context) as url:
        async with httpx.AsyncClient(transport=AiohttpTransport(certificates=True, trust_env=True)) as http:
            assert (await http.get(url)).text == "secret"
        for unaware in (AiohttpTransport(certificates=True), AiohttpTransport()):
            async with httpx.AsyncClient(transport=unaware) as http:
                with pytest.raises(httpx.ConnectError, match="certificate"):
                    await http.get(url)


async def test_a_request_that_is_given_up_is_given_up_at_the_server() -> None:
    """Its connection is closed: a server that generates or grades for nobody stops."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return web.Response()

    async with served(handler) as url, client() as http:
        asking = asyncio.create_task(http.post(url, content=b"x"))
        await asyncio.wait_for(begun.wait(), 10)
        asking.cancel()
        await asyncio.wait_for(ended.wait(), 10)


async def test_socket_options_hold_on_every_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are set before it is made."""
    made: list[socket.socket] = []

    class Kept(socket.socket):
        def __init__(self, *of: int, fileno: int | None = None) -> None:
            super().__init__(*of, fileno=fileno)
            if fileno is None:  # the server's are taken over
                made.append(self)

    async def handler(request: web.Request) -> web.Response:
        return web.Response()

    option: SocketOption = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    async with served(handler) as url:
        monkeypatch.setattr("deepcoder_api.http_transport.socket.socket", Kept)
        async with httpx.AsyncClient(transport=AiohttpTransport(socket_options=[option]), trust_env=False) as http:
            await http.get(url)
            assert [one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) for one in made] == [1]


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    pass


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    end = writer.get_extra_info("socket")
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"what is this?\r\n\r\n")


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def silence_after_the_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
    await reader.read()


@pytest.mark.parametrize(
    ("reply", "seconds", "error"),
    [
        (hang_up, 30, httpx.RemoteProtocolError),
        (reset, 30, httpx.ReadError),
        (half, 30, httpx.RemoteProtocolError),
        (garbage, 30, httpx.RemoteProtocolError),
        (silence, 0.3, httpx.ReadTimeout),
        (silence_after_the_head, 0.3, httpx.ReadTimeout),
    ],
)
async def test_what_a_server_does_wrong_is_an_error_of_httpx(
    reply: Reply, seconds: float, error: type[Exception]
) -> None:
    """With a text, for logs say what happened, and with its request."""
    async with bytes_served(reply) as url, client(seconds) as http:
        with pytest.raises(error) as raised:
            await http.post(url, content=b"x")
    assert type(raised.value) is error
    assert str(raised.value)
    assert isinstance(raised.value, httpx.TransportError)
    assert raised.value.request.url == url


async def test_nobody_there_is_a_connect_error() -> None:
    """At once, by name and by address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    async with client() as http:
        for url in (f"http://127.0.0.1:{port}", "http://no-such-host.invalid"):
            with pytest.raises(httpx.ConnectError):
                await http.get(url)


def test_every_error_is_of_the_kind_that_clients_catch() -> None:
    """And the general ones come last, so that the first that fits is the closest."""
    assert all(issubclass(ours, httpx.TransportError) for _, ours in ERRORS)
    for place, (theirs, _) in enumerate(ERRORS):
        assert not any(issubclass(theirs, earlier) for earlier, _ in ERRORS[:place])
