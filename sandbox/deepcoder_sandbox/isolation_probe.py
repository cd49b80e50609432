"""What can be reached and touched from where this runs. Standard library only: its source is also run as a program.

The server imports it to look from its own process, and sends its text through the zygote as an untrusted program
would come, to look from there. `look()` returns plain data; what it means is decided in `isolation`.
"""

import ctypes
import json
import os
import socket
import sys
import threading

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
KERNEL_LOG_READ_ALL = 3
CONNECT_SECONDS = 2.0
NAMES = ("kubernetes.default.svc.cluster.local", "example.com")


def look(api_server):
    """{"kernel", "kernel_log", "reached": [...], "token", "root_writable", "uid", "capabilities"} as seen from here."""
    return {
        "kernel": _read("/proc/version").strip(),
        "kernel_log": kernel_log(),
        "reached": reached(api_server),
        "token": os.path.exists(TOKEN),
        "root_writable": root_writable(),
        "uid": os.geteuid(),
        "capabilities": capabilities(),
    }


def kernel_log():
    """The kernel's log by syslog(2), or why it cannot be read."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(64 * 1024)
    size = libc.klogctl(KERNEL_LOG_READ_ALL, buffer, len(buffer))
    return buffer.raw[:size].decode(errors="replace") if size >= 0 else os.strerror(ctypes.get_errno())


def reached(api_server):
    """Which of the places that no program may reach could be reached, by TCP or by DNS."""
    found = []
    targets = [tuple(api_server), ("169.254.169.254", 80), ("1.1.1.1", 443), ("8.8.8.8", 53)]
    work = [(_connects, target) for target in targets] + [(_resolves, name) for name in NAMES]
    threads = [threading.Thread(target=_note, args=(found, check, what), daemon=True) for check, what in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * CONNECT_SECONDS)
    return sorted(found)


def _note(found, check, what):
    if check(what):
        found.append(str(what))


def _connects(target):
    try:
        socket.create_connection(target, timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _resolves(name):
    try:
        socket.getaddrinfo(name, 80)
    except OSError:
        return False
    return True


def root_writable():
    """Whether the root file system is mounted for writing, or takes a new file."""
    options = [line.split()[3].split(",") for line in _read("/proc/mounts").splitlines() if line.split()[1] == "/"]
    if options and "ro" not in options[-1]:
        return True
    for folder in ("/", "/usr", "/etc", "/opt"):
        try:
            name = os.path.join(folder, ".isolation-probe")
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            os.unlink(name)
        except OSError:
            continue
        return True
    return False


def capabilities():
    """The effective capabilities of this process, in hex."""
    lines = _read("/proc/self/status").splitlines()
    return next((line.split()[1] for line in lines if line.startswith("CapEff")), "unknown")


def _read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError as error:
        return str(error)


if __name__ == "__main__":
    print(json.dumps(look(json.loads(sys.stdin.read()))))
