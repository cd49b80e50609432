"""A server of this machine that speaks the part of the Hugging Face hub's protocol that huggingface_hub uses to read.

Repositories are folders; the commit is a digest of what they hold. Tested against huggingface_hub itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

READY_SECONDS = 30.0
TOKEN = "hf_test"


@dataclass
class HubServer:
    """A running hub. `private` repositories need TOKEN; `fetched` are the files that were asked for, by path."""

    endpoint: str
    folder: Path
    private: set[str] = field(default_factory=set[str])
    fetched: list[str] = field(default_factory=list[str])
    down: bool = False

    def repository(self, kind: str, name: str) -> Path:
        """The folder of a repository, made when it is not there. `kind` is models or datasets."""
        folder = self.folder / kind / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def application(self) -> Starlette:
        """The routes of the hub."""
        kinds = "{kind:str}/{owner:str}/{name:str}"
        return Starlette(
            routes=[
                Route(f"/api/{kinds}", self._info),
                Route(f"/api/{kinds}/revision/{{revision:path}}", self._info),
                Route(f"/api/{kinds}/tree/{{revision:str}}", self._tree),
                Route(f"/api/{kinds}/tree/{{revision:str}}/{{path:path}}", self._tree),
                Route(f"/api/{kinds}/paths-info/{{revision:str}}", self._paths, methods=["POST"]),
                Route("/datasets/{owner:str}/{name:str}/resolve/{revision:str}/{path:path}", self._dataset_file),
                Route("/{owner:str}/{name:str}/resolve/{revision:str}/{path:path}", self._model_file),
            ]
        )

    async def _info(self, request: Request) -> Response:
        folder = self._found(request, request.path_params["kind"])
        if isinstance(folder, Response):
            return folder
        siblings = [{"rfilename": path} for path in _paths_of(folder)]
        return JSONResponse({"id": _name(request), "sha": _commit(folder), "siblings": siblings, "tags": []})

    async def _tree(self, request: Request) -> Response:
        folder = self._found(request, request.path_params["kind"])
        if isinstance(folder, Response):
            return folder
        under = request.path_params.get("path", "")
        paths = [path for path in _paths_of(folder) if not under or path.startswith(f"{under}/")]
        if under and not paths:
            return _fault(404, "EntryNotFound")
        return JSONResponse([_entry(folder, path) for path in paths])

    async def _paths(self, request: Request) -> Response:
        folder = self._found(request, request.path_params["kind"])
        if isinstance(folder, Response):
            return folder
        async with request.form() as form:
            body: Any = form.getlist("paths") if form else (await request.json())["paths"]
        return JSONResponse([_entry(folder, path) for path in body if (folder / path).is_file()])

    async def _dataset_file(self, request: Request) -> Response:
        return self._file(request, "datasets")

    async def _model_file(self, request: Request) -> Response:
        return self._file(request, "models")

    def _file(self, request: Request, kind: str) -> Response:
        folder = self._found(request, kind)
        if isinstance(folder, Response):
            return folder
        file = folder / request.path_params["path"]
        if not file.is_file():
            return _fault(404, "EntryNotFound")
        if request.method == "GET":
            self.fetched.append(request.path_params["path"])
        headers = {"ETag": f'"{_sha(file)}"', "X-Repo-Commit": _commit(folder)}
        return FileResponse(file, headers=headers, media_type="application/octet-stream")

    def _found(self, request: Request, kind: str) -> Path | Response:
        if self.down:
            return _fault(503, "Unavailable")
        folder = self.folder / kind / _name(request)
        allowed = request.headers.get("authorization") == f"Bearer {TOKEN}"
        if not folder.is_dir() or (_name(request) in self.private and not allowed):
            return _fault(401, "RepoNotFound")
        revision = request.path_params.get("revision", "main")
        if revision not in ("main", _commit(folder)):
            return _fault(404, "RevisionNotFound")
        return folder


@contextmanager
def running_hub_server(folder: Path) -> Iterator[HubServer]:
    """Serve repositories that lie under `folder` until the end of the block."""
    listener = socket.create_server(("127.0.0.1", 0))
    hub = HubServer(f"http://127.0.0.1:{listener.getsockname()[1]}", folder)
    server = uvicorn.Server(uvicorn.Config(hub.application(), log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    deadline = time.monotonic() + READY_SECONDS
    while not server.started:
        if time.monotonic() > deadline or not thread.is_alive():
            raise TimeoutError(f"the hub's server did not start within {READY_SECONDS:g} s")
        time.sleep(0.01)
    try:
        yield hub
    finally:
        server.should_exit = True
        thread.join(READY_SECONDS)
        with contextlib.suppress(OSError):
            listener.close()


def _name(request: Request) -> str:
    return f"{request.path_params['owner']}/{request.path_params['name']}"


def _paths_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _entry(folder: Path, path: str) -> dict[str, Any]:
    file = folder / path
    return {"type": "file", "path": path, "size": file.stat().st_size, "oid": _sha(file)}


def _commit(folder: Path) -> str:
    content = "".join(f"{path} {_sha(folder / path)}\n" for path in _paths_of(folder))
    return hashlib.sha1(content.encode()).hexdigest()


def _sha(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


def _fault(status: int, code: str) -> Response:
    return JSONResponse({"error": code}, status_code=status, headers={"X-Error-Code": code})
