"""What no program may ask of the kernel: a seccomp filter that a run puts on itself before its first line.

Refused with EPERM is what makes namespaces and mounts (a tmpfs of a program's own knows no bound), what holds memory
that no process has resident and so no watch sees (memfd, System V and POSIX objects, extended attributes, anonymous
shared memory, enlarged buffers, descriptors in flight, queues of events and connections), every socket but a unix one,
and what debuggers use.
Imported by the zygote, so it imports nothing of ours and starts no thread.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Sequence

# Name to the number on x86_64 and on aarch64, from the kernel's unistd.h files.
REFUSED = {
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "fanotify_init": (300, 262),
    "fsconfig": (431, 431),
    "fsetxattr": (190, 7),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "inotify_init": (253, 26),  # aarch64 has the other alone
    "inotify_init1": (294, 26),
    "io_setup": (206, 0),
    "io_uring_setup": (425, 425),
    "kcmp": (312, 272),
    "keyctl": (250, 219),
    "listen": (50, 201),  # what is sent to a socket that nobody accepts stays when its sender is closed
    "lsetxattr": (189, 6),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "mq_open": (240, 180),
    "msgget": (68, 186),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "request_key": (249, 218),
    "semget": (64, 190),
    "sendmmsg": (307, 269),  # carries descriptors, which then count against nobody
    "sendmsg": (46, 211),
    "setns": (308, 268),
    "setxattr": (188, 5),
    "shmget": (29, 194),
    "timer_create": (222, 107),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
CLONE, CLONE3, SOCKET, SETSOCKOPT, FCNTL, MMAP = (56, 220), (435, 435), (41, 198), (54, 208), (72, 25), (9, 222)
NAMESPACE_FLAGS = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
SHARED_ANONYMOUS = 0x01 | 0x20
F_SETPIPE_SZ = 1031
BUFFER_SIZES = (7, 8, 32, 33)  # SO_SNDBUF, SO_RCVBUF and what forces them
X32 = 0x40000000

_AUDIT_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
# Classic BPF, as in linux/bpf_common.h and linux/seccomp.h.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

Step = tuple[int, int, int, int]  # code, steps to skip when true, when false, operand


def refuse() -> None:
    """Put the filter on the calling thread and all it will start. Needs no_new_privs. Raises OSError."""
    if _libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(_program)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def steps(machine: str) -> list[Step]:
    """The filter for `machine`: a search tree over call numbers, as every call of a program goes through it."""
    column = list(_AUDIT_ARCHITECTURES).index(machine)
    rules = {numbers[column]: [_fail(errno.EPERM)] for numbers in REFUSED.values()}
    rules[CLONE[column]] = [_argument(0), (_ANY_BIT, 0, 1, NAMESPACE_FLAGS), _fail(errno.EPERM), _allow()]
    rules[CLONE3[column]] = [_fail(errno.ENOSYS)]  # its flags are out of a filter's sight; the C library then clones
    rules[SOCKET[column]] = [_argument(0), (_EQUAL, 1, 0, 1), _fail(errno.EPERM), _allow()]
    rules[FCNTL[column]] = [_argument(1), (_EQUAL, 0, 1, F_SETPIPE_SZ), _fail(errno.EPERM), _allow()]
    rules[SETSOCKOPT[column]] = [
        _argument(2),
        *((_EQUAL, len(BUFFER_SIZES) - place, 0, option) for place, option in enumerate(BUFFER_SIZES)),
        _allow(),
        _fail(errno.EPERM),
    ]
    rules[MMAP[column]] = [
        _argument(3),
        (_AND, 0, 0, SHARED_ANONYMOUS),
        (_EQUAL, 0, 1, SHARED_ANONYMOUS),
        _fail(errno.EPERM),
        _allow(),
    ]
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _AUDIT_ARCHITECTURES[machine]),
        _fail(errno.EPERM),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, X32),
        _fail(errno.EPERM),
        *_search(sorted(rules), rules),
    ]


def _search(numbers: Sequence[int], rules: dict[int, list[Step]]) -> list[Step]:
    if len(numbers) == 1:
        rule = rules[numbers[0]]
        return [(_EQUAL, 0, len(rule), numbers[0]), *rule, _allow()]
    middle = len(numbers) // 2
    below, above = _search(numbers[:middle], rules), _search(numbers[middle:], rules)
    return [(_AT_LEAST, len(below), 0, numbers[middle]), *below, *above]


def _argument(place: int) -> Step:
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * place)  # its lower half: both machines are little-endian


def _fail(number: int) -> Step:
    return (_RETURN, 0, 0, _FAIL | number)


def _allow() -> Step:
    return (_RETURN, 0, 0, _ALLOW)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


_steps = steps(os.uname().machine)
_bytes = b"".join(struct.pack("=HBBI", *step) for step in _steps)
_program = _Program(len(_steps), _bytes)
_libc = ctypes.PyDLL(None, use_errno=True)
