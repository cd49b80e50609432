"""The kernel calls that Python 3.11 lacks: clone into new namespaces, mounts, capabilities. Linux only, through ctypes.

Imported by the zygote, so it imports nothing of ours and starts no thread.
"""

from __future__ import annotations

import ctypes
import os
import signal

NAMESPACES = {
    "user": 0x10000000,
    "pid": 0x20000000,
    "mount": 0x00020000,
    "network": 0x40000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
}
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 1 << 12, 1 << 14, 1 << 18
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_SET_CHILD_SUBREAPER = 1, 4, 38, 36

_CLONE_CHILD_SETTID, _CLONE_VFORK = 0x01000000, 0x00004000
_CAPABILITY_VERSION_3 = 0x20080522
# Numbers of clone and capset, and where glibc keeps a thread's id inside its descriptor.
_MACHINES = {"x86_64": (56, 126, 720), "aarch64": (220, 91, 208)}
_CLONE, _CAPSET, _THREAD_ID_OFFSET = _MACHINES[os.uname().machine]

# PyDLL keeps the interpreter lock: the child must wake up holding it.
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.pthread_self.restype = ctypes.c_void_p


def clone(flags: int, *, suspended: bool = False) -> int:
    """Fork into the namespaces of `flags`: 0 in the child, its pid in the parent. Raises OSError.

    `suspended`: the parent sleeps until the child has ended, and so makes no copy of the memory that they share.
    As os.fork it runs Python's own before-and-after hooks (the import lock, `random`'s new seed, thread identity).
    The calling process must have one thread.
    """
    thread_id = _thread_id_address()
    settid = _CLONE_CHILD_SETTID if thread_id else 0
    child_tid = (thread_id, 0) if _CLONE == 56 else (0, thread_id)
    ctypes.pythonapi.PyOS_BeforeFork()
    flags |= settid | signal.SIGCHLD | (_CLONE_VFORK if suspended else 0)
    words = [ctypes.c_long(word) for word in (_CLONE, flags, 0, 0, *child_tid)]
    pid = _libc.syscall(*words)
    number = ctypes.get_errno()
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(number, os.strerror(number))
    return pid


def _thread_id_address() -> int:
    """Where glibc keeps this thread's id, so that the child learns its new one; 0 when it is not where expected."""
    address = _libc.pthread_self() + _THREAD_ID_OFFSET
    return address if ctypes.c_int.from_address(address).value == os.getpid() else 0


def missing_namespaces() -> dict[str, str]:
    """The namespaces that cannot be had here, each with the kernel's reason. Empty when all can be had together."""
    if _try(sum(NAMESPACES.values())) is None:
        return {}
    user = NAMESPACES["user"]
    missing: dict[str, str] = {}
    for name, flag in NAMESPACES.items():
        reason = _try(flag | user)
        if reason is not None:
            missing[name] = reason
    return missing or {"all together": _try(sum(NAMESPACES.values())) or "at random"}


def _try(flags: int) -> str | None:
    try:
        pid = clone(flags)
    except OSError as error:
        return error.strerror or str(error)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return None


def map_identity(uid: int, gid: int) -> None:
    """Give the calling process's new user namespace its one user and group: themselves. Raises OSError."""
    for name, line in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2). Raises OSError naming the target."""
    if _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def prctl(option: int, value: int) -> None:
    """prctl(2) with one argument. Raises OSError."""
    if _libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def drop_capabilities() -> None:
    """Give up every capability, also those inside the own user namespace. Raises OSError."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if _libc.syscall(ctypes.c_long(_CAPSET), header, nothing):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def unshare(flags: int) -> None:
    """unshare(2). Raises OSError."""
    if _libc.unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def set_host_name(name: str) -> None:
    """sethostname(2). Raises OSError."""
    if _libc.sethostname(name.encode(), len(name)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
