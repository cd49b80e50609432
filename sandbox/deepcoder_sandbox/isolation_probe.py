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
import time

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
KERNEL_LOG_READ_ALL = 3
WAIT_SECONDS = 2.0
# Clouds' metadata services, and the internet.
TARGETS = (
    ("169.254.169.254", 80),
    ("169.254.170.2", 80),
    ("100.100.100.200", 80),
    ("fd00:ec2::254", 80),
    ("1.1.1.1", 443),
    ("2606:4700:4700::1111", 443),
)
PUBLIC_NAME_SERVERS = ("8.8.8.8", "1.1.1.1")
# A DNS query as RFC 1035 has it: a header that asks one question, and that: the A record of kubernetes.default.
QUERY = b"\xdc\x0d\x01\x00\x00\x01" + bytes(6) + b"\x0akubernetes\x07default\x00\x00\x01\x00\x01"


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
    work = [(_connects, target) for target in (tuple(api_server), *TARGETS)]
    work += [(_answers, server) for server in (*name_servers(_read("/etc/resolv.conf")), *PUBLIC_NAME_SERVERS)]
    threads = [threading.Thread(target=_note, args=(found, check, what), daemon=True) for check, what in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(found)


def _note(found, check, what):
    if check(what):
        found.append(what if isinstance(what, str) else f"{what[0]}:{what[1]}")


def _connects(target):
    try:
        socket.create_connection(target, timeout=WAIT_SECONDS).close()
    except OSError:
        return False
    return True


def _answers(server, port=53):
    """Whether a name server sends anything back, be it that there is no such name: a way out either way."""
    deadline = time.monotonic() + WAIT_SECONDS
    try:
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as end:
            end.connect((server, port))
            end.settimeout(WAIT_SECONDS / 3)
            while time.monotonic() < deadline:
                end.send(QUERY)
                try:
                    return bool(end.recv(512))
                except TimeoutError:
                    continue  # a datagram may be lost
    except OSError:
        return False
    return False


def name_servers(resolv_conf):
    """The addresses in the text of a resolv.conf."""
    lines = [line.split() for line in resolv_conf.splitlines()]
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]


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
