"""What a forked child does to itself before it runs a line of anyone's program. Runs in the child only."""

from __future__ import annotations

import fcntl
import gc
import os
import resource
import signal

from deepcoder_sandbox import namespaces

FOLDER_MIB = 64
OPEN_FILES = 256
STACK_MIB = 100
# Address space that a program may reserve beyond what it may use: thread stacks and arenas are seldom touched whole.
# What it has resident is bound by the server, which watches.
RESERVED_MIB = 768
# gVisor counts all processes and threads of a user against each of them, the server's, the zygotes' and other programs'
# too: some room for those, for each core that grades. What one run has is bound by the server, which watches. Not much
# room: a fork bomb of 144 keeps the watch of a pod with two cores waiting for seconds.
OTHERS_PROCESSES = 16 + 8 * len(os.sched_getaffinity(0))
HOST_NAME = "program"
# Memory that is mapped from it and shared is resident in no process, and so out of the server's sight.
ZERO_DEVICE = "/dev/zero"
# Numeric libraries would start one thread per core, each with a large stack, against the process and memory bounds.
ENVIRONMENT = {"LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def enter(*, home: str, places: list[str], files: list[str], missing: list[str], uid: int, gid: int) -> None:
    """Take the new namespaces into use: identity, own host name, own /proc, and a fresh size-bound folder.

    The folder lies over `home` and over `places`, nothing over `files`: all where the program could else leave
    something for the next, or speak for the pod. Nothing lies over /dev/zero either.
    Without a mount namespace `home` is used as it is. Raises OSError.
    """
    if "user" not in missing:
        namespaces.map_identity(uid, gid)
        if "mount" not in missing:
            _mount_folder(home, places)
            for file in (*files, ZERO_DEVICE):
                namespaces.mount(os.devnull, file, "none", namespaces.MS_BIND)
            _mount_proc("pid" not in missing)
        if "uts" not in missing:
            namespaces.set_host_name(HOST_NAME)
    os.chdir(home)
    namespaces.drop_capabilities()


def _mount_folder(home: str, places: list[str]) -> None:
    flags = namespaces.MS_NOSUID | namespaces.MS_NODEV
    namespaces.mount("tmpfs", home, "tmpfs", flags, f"size={FOLDER_MIB}m,nr_inodes=4096,mode=700")
    for place in places:
        namespaces.mount(home, place, "none", namespaces.MS_BIND)


def _mount_proc(own_pids: bool) -> None:
    flags = namespaces.MS_NOSUID | namespaces.MS_NODEV | namespaces.MS_NOEXEC
    try:
        if own_pids:
            namespaces.mount("proc", "/proc", "proc", flags)
            return
    except PermissionError:
        pass  # a container that masks parts of /proc: then the program gets none at all
    namespaces.mount("tmpfs", "/proc", "tmpfs", flags, "size=4k,mode=555")


def limit(*, memory_mib: int, cpu_seconds: int, processes: int, file_mib: int, base_bytes: int, watched: bool) -> None:
    """Set the resource limits. `base_bytes` is the address space the process has before it begins.

    `watched`: the server sees the program's processes and what they have resident, and holds it to its bounds.
    """
    reserved = RESERVED_MIB if watched else 0
    others = OTHERS_PROCESSES if watched else 0
    for kind, value in (
        (resource.RLIMIT_AS, base_bytes + (memory_mib + reserved) * 1024 * 1024),
        (resource.RLIMIT_NPROC, processes + others),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_FSIZE, file_mib * 1024 * 1024),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_STACK, STACK_MIB * 1024 * 1024),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bound, bound))


def take_descriptors(descriptors: list[int], *, first: int) -> None:
    """Make `descriptors` first, first + 1, … and close every other one from there on."""
    end = first + len(descriptors)
    lifted = [_lift(descriptor, end) for descriptor in descriptors]
    for number, descriptor in enumerate(lifted, start=first):
        os.dup2(descriptor, number, inheritable=number < 3)
    os.closerange(end, 1 << 20)


def _lift(descriptor: int, above: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, above + 8)


def forget_zygote() -> None:
    """Put signals, environment and collector as a new interpreter has them."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.environ.clear()
    os.environ.update(ENVIRONMENT)
    gc.enable()
