"""The warm process that forks for every program run: `python -m deepcoder_sandbox.zygote FD`. One thread, few imports.

It is told nothing of problems and programs: a child reads its program from its own channel, and expected outputs
stay in the server, so nothing that a child could find in inherited memory tells it about any test or other program.
Frames on its control socket, as JSON, with descriptors as SCM_RIGHTS:
    out  {"missing": {namespace: reason}}                                     once, when it is warm
    in   {"mode", "limits": {...}, "folder"} and descriptors stderr, channel[, peer]
    out  {"status": wait status, "cpu": seconds, "memory": MiB} | {"error": text}
One run at a time: the zygote sleeps while it lasts, so that nothing of the memory that they share is copied for it.
Who wants to end a run kills its first process, and its whole tree dies with it.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import site
import socket
import sys
import time
from typing import Any

from deepcoder_sandbox import confinement, namespaces, runner
from deepcoder_sandbox.frames import PeerClosedError, receive_frame, send_frame
from deepcoder_sandbox.privileges import become_ordinary

MAX_REQUEST_BYTES = 64 * 1024
MAX_DESCRIPTORS = 8
SWEEP_SECONDS = 5.0


class Zygote:
    """The loop that forks a run for each request on `control`, and answers with its end."""

    def __init__(self, control: socket.socket, scratch: str) -> None:
        self.control = control
        self.uid, self.gid = os.getuid(), os.getgid()
        self.missing = namespaces.missing_namespaces()
        self.flags = sum(flag for name, flag in namespaces.NAMESPACES.items() if name not in self.missing)
        if "user" in self.missing:  # without it the others need privileges that we do not have
            self.missing = dict.fromkeys(namespaces.NAMESPACES, self.missing["user"])
            self.flags = 0
        if "all together" in self.missing:
            self.missing |= dict.fromkeys(namespaces.NAMESPACES, self.missing["all together"])
            self.flags = 0
        self.watched = not {"pid", "mount"} & self.missing.keys()
        self.home, *self.places = _writable_places(scratch)
        self.files = _writable_files()
        self.base_bytes = 0

    def serve(self) -> None:
        """Answer until the server closes the socket."""
        send_frame(self.control.fileno(), json.dumps({"missing": self.missing}).encode())
        gc.collect()
        gc.freeze()
        gc.disable()
        with open("/proc/self/statm") as statm:
            self.base_bytes = int(statm.read().split()[0]) * resource.getpagesize()
        while True:
            try:
                request, descriptors = self._receive()
            except PeerClosedError:
                return
            send_frame(self.control.fileno(), json.dumps(self._run(request, descriptors)).encode())

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        ancillary_bytes = socket.CMSG_SPACE(4 * MAX_DESCRIPTORS)
        first, ancillary, _, _ = self.control.recvmsg(1, ancillary_bytes, socket.MSG_CMSG_CLOEXEC)
        if not first:
            raise PeerClosedError("the server is gone")
        descriptors = [
            int.from_bytes(data[at : at + 4], sys.byteorder)
            for level, kind, data in ancillary
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            for at in range(0, len(data) - 3, 4)
        ]
        return json.loads(receive_frame(self.control.fileno(), MAX_REQUEST_BYTES)), descriptors

    def _run(self, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        try:
            pid = namespaces.clone(self.flags, suspended=True)
            if pid == 0:
                self._child(request, descriptors)
            _, status, usage = os.wait4(pid, 0)
        except OSError as error:
            return {"error": f"clone: {error.strerror}"}
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        if "pid" in self.missing:
            _sweep()
        return {"status": status, "cpu": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss / 1024}

    def _child(self, request: dict[str, Any], descriptors: list[int]) -> None:
        """Everything of a run: never returns. A failure before the program begins is told on the channel."""
        channel = 3
        try:
            namespaces.prctl(namespaces.PR_SET_PDEATHSIG, signal.SIGKILL)
            confinement.take_descriptors(descriptors, first=2)
            os.setsid()  # else kill(0) would reach the zygote and the server
            confinement.enter(
                home=request["folder"] or self.home,
                places=self.places,
                files=self.files,
                missing=list(self.missing),
                uid=self.uid,
                gid=self.gid,
            )
            confinement.limit(base_bytes=self.base_bytes, watched=self.watched, **request["limits"])
            confinement.forget_zygote()
        except BaseException:
            import traceback  # large, and never needed but here

            try:
                send_frame(channel, json.dumps({"failed": traceback.format_exc()}).encode())
            finally:
                os._exit(runner.EXIT_SETUP)
        try:
            runner.run(request["mode"], channel, has_peer=len(descriptors) > 2, watched=self.watched)
        finally:
            os._exit(runner.EXIT_SETUP)


def _sweep() -> None:
    """Without a pid namespace: kill and reap what the run left, which as subreaper we have inherited."""
    deadline = time.monotonic() + SWEEP_SECONDS
    while time.monotonic() < deadline:
        with open(f"/proc/self/task/{os.getpid()}/children") as listing:
            left = [int(word) for word in listing.read().split()]
        if not left:
            return
        for pid in left:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _writable_places(scratch: str) -> list[str]:
    """Where this user can write, the place that holds `scratch` first; none lies inside another.

    Mounts and the usual shared folders, apart from what belongs to the kernel.
    """
    places = [scratch, "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock"]
    places += filter(os.path.isdir, _mount_points())
    real = dict.fromkeys(os.path.realpath(place) for place in places)
    found = sorted(place for place in real if place != "/" and os.access(place, os.W_OK))
    tops = [place for place in found if not any(place.startswith(other + "/") for other in found)]
    return sorted(tops, key=lambda place: not (scratch + "/").startswith(place + "/"))


def _writable_files() -> list[str]:
    """Files that are mounts of their own and that this user can write, as a pod's termination log is."""
    return [place for place in dict.fromkeys(_mount_points()) if os.path.isfile(place) and os.access(place, os.W_OK)]


def _mount_points() -> list[str]:
    """Where something is mounted that does not belong to the kernel."""
    with open("/proc/self/mounts") as mounts:
        fields = [line.split() for line in mounts]
    return [field[1] for field in fields if field[2] not in {"proc", "sysfs", "cgroup", "cgroup2", "devpts"}]


def program_path(path: list[str], package_folder: str, site_folders: list[str]) -> list[str]:
    """Where programs import from: what the zygote does, once each, without the folder of our own packages.

    That one stays where it is also the interpreter's site-packages, as in an image: numpy is there too.
    """
    hidden = {"", *({package_folder} - set(site_folders))}
    last_first = dict.fromkeys(reversed([entry for entry in path if entry not in hidden]))
    return list(reversed(last_first))


def main() -> None:
    """Become the zygote of the server at the other end of the socket named in the arguments."""
    descriptor, scratch, preload = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    package_folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    become_ordinary(package_folder)
    namespaces.prctl(namespaces.PR_SET_PDEATHSIG, signal.SIGKILL)
    namespaces.prctl(namespaces.PR_SET_NO_NEW_PRIVS, 1)
    namespaces.prctl(namespaces.PR_SET_CHILD_SUBREAPER, 1)
    for name in filter(None, preload.split(",")):
        __import__(name)
    sys.path[:] = program_path(sys.path, package_folder, site.getsitepackages())
    sys.argv = ["program.py"]
    Zygote(socket.socket(fileno=descriptor), scratch).serve()


if __name__ == "__main__":
    main()
