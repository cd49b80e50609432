"""HTTP with thousands of requests under way: httpx's client over aiohttp's connections.

httpx's own pool looks at all of its connections whenever a request begins or ends, so what a request costs grows with
how many there are; aiohttp's does not (docs/decisions/0010). Give it to a client: `httpx.AsyncClient(transport=...)`.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Generator, Sequence
from typing import Any

import aiohttp
import httpx
import yarl
from multidict import CIMultiDict

from deepcoder_api.connections import SocketOption

IDLE_SECONDS = 5.0
"""How long a connection without a request is kept, as httpx does: whoever serves is to keep it longer."""
CHUNK_BYTES = 64 * 1024

ERRORS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout),
    (TimeoutError, httpx.ReadTimeout),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError),
    (aiohttp.ClientPayloadError, httpx.RemoteProtocolError),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
    (aiohttp.ClientError, httpx.ReadError),
    (OSError, httpx.ReadError),
)
"""What aiohttp raises and what httpx would; the first that fits. A ClientConnectorError is an OSError too."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 without redirects, proxies and cookies. Requests are sent whole, responses may be streamed."""

    def __init__(
        self, *, connections: int | None = None, socket_options: Sequence[SocketOption] = (),
        unix_socket: str | None = None, certificates: bool = False, trust_env: bool = False,
    ) -> None:  # fmt: skip
        """connections: the most at once, None for any number; a request beyond them waits.

        certificates: read httpx's certificates for https, which takes longer than all else here; with trust_env those
        that SSL_CERT_FILE and SSL_CERT_DIR name. Without, a server is believed whom the system's certificates vouch
        for.
        """
        self._connections = connections
        self._socket_options = tuple(socket_options)
        self._unix_socket = unix_socket
        self._certificates = httpx.create_ssl_context(trust_env=trust_env) if certificates else None
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request. Raises httpx.TransportError; the body's stream does too."""
        content = await request.aread()
        seconds: dict[str, float | None] = request.extensions.get("timeout", {})
        with _errors_of_httpx(request):
            response = await self._opened().request(
                request.method,
                yarl.URL(str(request.url), encoded=True),
                headers=CIMultiDict(request.headers.multi_items()),
                skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding"),
                data=content or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    connect=seconds.get("pool"), sock_connect=seconds.get("connect"), sock_read=seconds.get("read")
                ),
            )
        return httpx.Response(
            response.status,
            headers=list(response.raw_headers),
            stream=_Body(response, request),
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": (response.reason or "").encode()},
        )

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:  # it belongs to the loop that runs at the first request
            self._session = aiohttp.ClientSession(
                connector=self._connector(), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
            )
        return self._session

    def _connector(self) -> aiohttp.BaseConnector:
        kept: dict[str, Any] = {"limit": self._connections or 0, "keepalive_timeout": IDLE_SECONDS}
        if self._unix_socket is not None:
            return aiohttp.UnixConnector(self._unix_socket, **kept)
        return aiohttp.TCPConnector(ssl=self._certificates or True, socket_factory=self._socket, **kept)

    def _socket(self, address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol = address[:3]
        made = socket.socket(family, kind, protocol)
        try:
            for option in self._socket_options:
                made.setsockopt(*option)
        except OSError:
            made.close()
            raise
        return made


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse, request: httpx.Request) -> None:
        self._response = response
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors_of_httpx(self._request):
            async for chunk in self._response.content.iter_chunked(CHUNK_BYTES):
                yield chunk

    async def aclose(self) -> None:
        self._response.release()  # which closes the connection where not all was read


@contextlib.contextmanager
def _errors_of_httpx(request: httpx.Request) -> Generator[None]:
    try:
        yield
    except tuple(theirs for theirs, _ in ERRORS) as error:
        ours = next(ours for theirs, ours in ERRORS if isinstance(error, theirs))
        raise ours(str(error) or type(error).__name__, request=request) from error
