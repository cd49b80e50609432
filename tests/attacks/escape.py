"""Ways out: network, tokens, devices, system calls, other processes, the grading server itself."""

from __future__ import annotations

from functools import partial

from tests.attacks.attack import Attack

_attack = partial(Attack, "escape")

_LIBC = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
x86 = os.uname().machine == "x86_64"
def call(number, other, *words):
    return libc.syscall(number if x86 else other, *[w if isinstance(w, (bytes, ctypes.Array)) else ctypes.c_long(w) for w in words])
"""


def _tcp(name: str, why: str, host: str, port: int) -> Attack:
    body = f"import socket\nsocket.create_connection(({host!r}, {port}), 2)\nwon()\n"
    return _attack(name, why, body)


def _call(name: str, why: str, body: str) -> Attack:
    """`body` is an expression of a system call's result that is not negative when the kernel has done it."""
    return _attack(name, why, f"{_LIBC}if max({body}) >= 0: won()\n")


ATTACKS = (
    _tcp("TCP to the internet", "a way out for anything", "1.1.1.1", 443),
    _tcp("TCP over IPv6", "the other internet", "2606:4700:4700::1111", 443),
    _tcp("metadata address", "a cloud's credentials", "169.254.169.254", 80),
    _tcp("API server", "the cluster itself", "10.96.0.1", 443),
    _tcp("cluster DNS over TCP", "names, and a tunnel", "10.96.0.10", 53),
    _tcp("kubelet", "the node", "10.244.0.1", 10250),
    _attack(
        "UDP to name servers",
        "a question that anyone answers is a way out",
        """
import socket
query = b"\\xdc\\x0d\\x01\\0\\0\\x01" + bytes(6) + b"\\x0akubernetes\\x07default\\0\\0\\x01\\0\\x01"
for server in ("10.96.0.10", "1.1.1.1", "8.8.8.8"):
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.settimeout(1)
    try:
        end.sendto(query, (server, 53))
        if end.recv(512): won(); break
    except OSError: pass
""",
    ),
    _attack(
        "name lookup",
        "by the C library",
        "import socket\nif socket.getaddrinfo('kubernetes.default.svc', 443): won()\n",
    ),
    _attack(
        "sockets of every family",
        "raw, packet, netlink, vsock, bluetooth, kernel crypto",
        """
import socket
for family in range(2, 46):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
        try: socket.socket(family, kind)
        except OSError: continue
        won()
""",
    ),
    _attack(
        "interfaces",
        "any but the loopback",
        "names = [line.split(':')[0].strip() for line in open('/proc/net/dev').readlines()[2:]]\nif set(names) - {'lo'}: won()\n",
    ),
    _attack(
        "grades itself",
        "puts a problem of its own to the server beside it, and asks for a grade",
        """
import http.client
for host in ("127.0.0.1", "localhost", "sandbox", "program", "0.0.0.0", "::1"):
    try:
        server = http.client.HTTPConnection(host, 8000, timeout=1)
        server.request("GET", "/healthz")
        if server.getresponse().status: won()
    except OSError: pass
""",
    ),
    _attack(
        "sockets on disk",
        "the server's own, the container runtime's, any that a folder shows",
        """
import os, socket, stat
for folder, _, names in os.walk("/"):
    if folder.startswith(("/proc", "/sys")): continue
    for path in [os.path.join(folder, name) for name in names] + ["/server/grading.sock", "/run/containerd/containerd.sock"]:
        try:
            if not stat.S_ISSOCK(os.stat(path).st_mode): continue
            end = socket.socket(socket.AF_UNIX)
            end.connect(path)
        except OSError: continue
        won()
    if len(folder) > 60: break
""",
        only_isolated=True,
    ),
    _attack(
        "service account token",
        "wherever a kubelet puts one",
        """
import os
for path in ("/var/run/secrets/kubernetes.io/serviceaccount/token", "/run/secrets/kubernetes.io/serviceaccount/token"):
    if os.path.exists(path): won()
for top in ("/var/run", "/run/secrets"):
    for folder, _, names in os.walk(top):
        if "token" in names: won()
""",
    ),
    _attack(
        "secrets in the environment",
        "of itself and of every process it can name",
        """
import os
known = {"LANG", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONPATH", "PYTHONHASHSEED"}
for pid in ("self", *range(1, 300)):
    try: words = open(f"/proc/{pid}/environ", errors="replace").read().split("\\0")
    except OSError: continue
    if {word.split("=")[0] for word in words if word} - known: won()
if os.environ.keys() - known: won()
""",
    ),
    _attack(
        "symbolic links out of its folder",
        "a name in its own folder that leads elsewhere",
        """
import os
for place in ("/etc", "/usr", "/opt", "/", "/dev", "/sys", "/var", "/proc/1/root", "/proc/1/cwd/.."):
    os.symlink(place, "way")
    try: open("way/escaped", "w").close()
    except OSError: pass
    else:
        if not os.path.exists("escaped") and not os.path.exists("/tmp/escaped"): won()
    os.unlink("way")
""",
    ),
    _attack(
        "links to files of others",
        "a hard link would stay when its folder is gone",
        "import os\nfor path in ('/etc/passwd', '/dev/termination-log', '/etc/hosts'):\n"
        "    try: os.link(path, 'mine')\n    except OSError: continue\n    won()\n",
    ),
    _attack(
        "root file system",
        "any folder beside its own that takes a file",
        """
import os
own = {os.stat(place).st_dev for place in (".", "/tmp")}
for folder, folders, _ in os.walk("/"):
    if folder.startswith(("/proc", "/sys/fs")) or os.stat(folder).st_dev in own: folders.clear(); continue
    if folder.count("/") > 2: folders.clear()
    try: open(os.path.join(folder, "escaped"), "w").close()
    except OSError: continue
    won()
""",
    ),
    _attack(
        "settings of the kernel",
        "every file of /proc/sys and /sys that takes a byte",
        """
import os
for top in ("/proc/sys", "/sys"):
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            try:
                before = open(path).read()
                with open(path, "w") as file: file.write(before)
            except (OSError, ValueError): continue
            won()
for path in ("/proc/sysrq-trigger", "/proc/kcore", "/proc/kmem", "/proc/kmsg", "/proc/1/../kcore"):
    try: open(path, "r+b").close()
    except OSError: continue
    won()
""",
    ),
    _attack(
        "control groups",
        "limits of the pod, and release agents that the node runs",
        """
import os
for folder, _, names in os.walk("/sys/fs/cgroup"):
    for name in names:
        if name in ("release_agent", "cgroup.procs", "notify_on_release", "memory.max", "memory.limit_in_bytes"):
            try: open(os.path.join(folder, name), "w").write("1")
            except OSError: continue
            won()
""",
    ),
    _attack(
        "devices",
        "of the node: memory, disks, virtual machines",
        """
import os
harmless = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "mqueue", "fd", "stdin", "stdout",
            "stderr", "core", "termination-log", "fuse", "net"}
for name in {*os.listdir("/dev"), "mem", "kmem", "kmsg", "port", "kvm", "sda", "vda", "nvidiactl", "loop0"} - harmless:
    try: os.open(os.path.join("/dev", name), os.O_RDWR | os.O_NONBLOCK)
    except OSError: continue
    won()
""",
        only_isolated=True,
    ),
    _attack(
        "tunnel of its own",
        "a network interface by /dev/net/tun, which gVisor shows to all",
        """
import fcntl, os, struct
end = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(end, 0x400454CA, struct.pack("16sH22x", b"out", 2))
won()
""",
    ),
    _call(
        "makes a device",
        "the node's memory under a name of its own",
        "call(133, -1, b'mem', 0o20666, 0x101) if x86 else -1, call(259, 33, -100, b'mem2', 0o20666, 0x101)",
    ),
    _attack(
        "termination log",
        "what the kubelet would read as the pod's last word",
        """
import os, stat
path = "/dev/termination-log"
try:
    open(path, "w").write('{"outcome": "permanent"}')
    if stat.S_ISREG(os.stat(path).st_mode) or "permanent" in open(path).read(): won()
except OSError: pass
""",
    ),
    _attack(
        "other processes",
        "seen in /proc, or answering to a signal",
        """
import os
others = [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
for pid in range(1, 500):
    if pid == os.getpid(): continue
    try: os.kill(pid, 0)
    except ProcessLookupError: continue
    except OSError: pass
    others.append(pid)
if others or os.getppid() != 0: won()
""",
    ),
    _attack(
        "kills server and zygote",
        "by every number that they could have",
        """
import os, signal
for pid in range(2, 500):
    for number in (signal.SIGKILL, signal.SIGSTOP):
        try: os.kill(pid, number)
        except OSError: continue
        won()
""",
    ),
    _call(
        "traces others",
        "every number that may be a process",
        "*(call(101, 117, 16, pid, 0, 0) for pid in range(2, 300)), -1",
    ),
    _call(
        "takes descriptors of others",
        "pidfd_getfd",
        "*(call(438, 438, call(434, 434, pid, 0), 1, 0) for pid in range(2, 99)), -1",
    ),
    _call("user namespace", "in it a program has every capability", "call(272, 97, 0x10000000), -1"),
    *(
        _call(
            f"{name} namespace",
            "with a user namespace or without",
            f"call(272, 97, {flag}), call(272, 97, {flag | 0x10000000})",
        )
        for name, flag in (
            ("mount", 0x20000),
            ("pid", 0x20000000),
            ("network", 0x40000000),
            ("ipc", 0x8000000),
            ("uts", 0x4000000),
            ("cgroup", 0x2000000),
            ("time", 0x80),
        )
    ),
    _attack(
        "namespaces by clone",
        "the same flags through another door",
        _LIBC
        + """
for flags in (0x10000000, 0x10020000, 0x50000000, 0x20000):
    pid = call(56, 220, flags | 17, 0, 0, 0, 0)
    if pid == 0: os._exit(0)
    if pid > 0: won()
""",
    ),
    _attack(
        "namespaces by clone3",
        "the same flags where a filter cannot see them",
        _LIBC
        + """
import struct
words = ctypes.create_string_buffer(struct.pack("11Q", 0x10020000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0))
pid = call(435, 435, words, 88)
if pid == 0: os._exit(0)
if pid > 0: won()
""",
    ),
    _attack(
        "the other numbers of this machine",
        "system calls of the x32 ABI, which a filter by number may miss",
        _LIBC
        + "if x86 and max(call(n | 0x40000000, 0, flag) for n, flag in ((272, 0x10000000), (319, 0), (41, 2))) >= 0: won()\n",
    ),
    _attack(
        "the 32-bit door",
        "int 0x80 in machine code of its own: other numbers for the same calls",
        _LIBC
        + """
import mmap
# push rbx; mov ebx, CLONE_NEWUSER; mov eax, 310 (unshare); int 0x80; pop rbx; ret
code = bytes.fromhex("53bb00000010b836010000cd805bc3")
area = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
area.write(code)
at = ctypes.addressof(ctypes.c_char.from_buffer(area))
if x86 and ctypes.CFUNCTYPE(ctypes.c_int)(at)() == 0: won()
""",
    ),
    _call(
        "enters namespaces of others",
        "by /proc/1/ns",
        "*(call(308, 268, os.open('/proc/1/ns/' + n, 0), 0) for n in os.listdir('/proc/1/ns')), -1",
    ),
    _call(
        "mounts",
        "a file system, a bind, a change of what is there",
        "call(165, 40, b'x', b'/tmp', b'tmpfs', 0, 0), call(165, 40, b'/', b'/tmp', b'', 4096, 0), call(165, 40, b'', b'/', b'', 32, 0)",
    ),
    _call(
        "new mount calls",
        "fsopen, open_tree, fspick, mount_setattr",
        "call(430, 430, b'tmpfs', 0), call(428, 428, -100, b'/', 1), call(433, 433, -100, b'/', 0), call(442, 442, -100, b'/', 0, 0, 0)",
    ),
    _call(
        "takes mounts away",
        "what covers /tmp, /proc and the termination log",
        "*(call(166, 39, path, flag) for path in (b'/tmp', b'/scratch', b'/proc', b'/dev/shm', b'/dev/termination-log') for flag in (0, 2)), -1",
    ),
    _call("changes the root", "chroot and pivot_root", "call(161, 51, b'.'), call(155, 41, b'.', b'.'), -1"),
    _call(
        "file handles",
        "files by number, past every folder",
        "call(303, 264, -100, b'/etc/passwd', ctypes.create_string_buffer(b'\\x80', 136), ctypes.create_string_buffer(8), 0), -1",
    ),
    _call(
        "bpf",
        "programs in the kernel",
        "call(321, 280, 0, ctypes.create_string_buffer(bytes([1, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4]), 72), 72), -1",
    ),
    _call("io_uring", "system calls without system calls", "call(425, 425, 4, ctypes.create_string_buffer(120)), -1"),
    _call(
        "perf events", "counters of the machine", "call(298, 241, ctypes.create_string_buffer(120), 0, -1, -1, 0), -1"
    ),
    _call("userfaultfd", "holds the kernel in mid-copy", "call(323, 282, 0), call(323, 282, 1)"),
    _call(
        "keyrings",
        "keys of the user and of the session",
        "call(250, 219, 0, -3, 1), call(250, 219, 1, 0), call(248, 217, b'user', b'x', b'y', 1, -3)",
    ),
    _call(
        "modules and kernels",
        "code for the kernel itself",
        "call(175, 105, b'x', 1, b''), call(246, 104, 0, 0, 0, 0), call(313, 273, 0, b'', 0)",
    ),
    _call(
        "reboot and swap",
        "the machine's own switches",
        "call(169, 142, 0xfee1dead, 672274793, 0x89abcdef, 0), call(167, 224, b'x', 0), call(163, 89, b'x')",
    ),
    _call(
        "input and output ports",
        "the machine's own wires",
        "call(172, -1, 3) if x86 else -1, call(173, -1, 0, 1, 1) if x86 else -1",
    ),
    _call(
        "other user",
        "root, by every call that changes who one is",
        "call(105, 146, 0), call(106, 144, 0), call(117, 147, 0, 0, 0), call(116, 159, 1, ctypes.create_string_buffer(4))",
    ),
    _attack(
        "capabilities",
        "takes all that there are",
        _LIBC
        + """
import struct
header, words = struct.pack("Ii", 0x20080522, 0), struct.pack("6I", *[0xFFFFFFFF] * 6)
if call(126, 91, ctypes.create_string_buffer(header), ctypes.create_string_buffer(words)) == 0: won()
if [l for l in open("/proc/self/status") if l.startswith("CapEff") and l.split()[1].strip("0")]: won()
""",
    ),
    _attack(
        "programs that run as root",
        "any file with the setuid bit, where the kernel still honours it",
        """
import os, stat
for folder in ("/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/lib"):
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        try: mode = os.stat(os.path.join(folder, name)).st_mode
        except OSError: continue
        if mode & stat.S_ISUID and "NoNewPrivs:\\t1" not in open("/proc/self/status").read(): won()
""",
    ),
    _attack(
        "raises its limits",
        "each of them, by a little and to infinity",
        """
import resource
for name in dir(resource):
    if not name.startswith("RLIMIT_"): continue
    kind = getattr(resource, name)
    hard = resource.getrlimit(kind)[1]
    if hard == resource.RLIM_INFINITY: continue
    for limit in (hard + 1, resource.RLIM_INFINITY):
        try: resource.setrlimit(kind, (limit, limit))
        except (OSError, ValueError): continue
        won()
""",
    ),
    _attack(
        "core dump",
        "its memory, or a program that the kernel starts",
        """
import os, resource
if resource.getrlimit(resource.RLIMIT_CORE)[1] != 0: won()
try:
    open("/proc/sys/kernel/core_pattern", "w").write("|/bin/true")
    won()
except OSError: pass
if os.fork() == 0: os.abort()
os.wait()
if [name for name in os.listdir(".") if "core" in name]: won()
""",
    ),
    _attack(
        "host name",
        "of the pod, for all who ask",
        "import socket\nname = socket.gethostname()\ntry: socket.sethostname('escaped')\nexcept OSError: pass\n"
        "if socket.gethostname() != name: won()\n",
    ),
    _attack(
        "NUL and invalid UTF-8 in its output",
        "bytes that a comparison might stop at",
        "import os\nos.write(1, str(2 * int(input())).encode() + b'\\0\\xff\\xfe\\n')\n",
    ),
    _attack("NUL in its source", "text that ends before its end", "won()\n\0"),
    _attack("source of half characters", "what no file could hold", "x = '\ud800'\n1 / 0\n"),
    _attack(
        "other users' files",
        "of the server, and of programs beside it",
        """
import os
for top in ("/tmp", "/scratch", "/server", "/dev/shm", "/run", "/var/tmp"):
    for folder, folders, names in os.walk(top):
        if [n for n in names if n not in ("own",)]: won()
""",
        only_isolated=True,
    ),
    _attack(
        "grader's code rewritten",
        "a module of the server's in the image",
        """
import os, sys
for module in list(sys.modules.values()):
    path = getattr(module, "__file__", None)
    if path and os.path.isabs(path):
        try: open(path, "a").close()
        except OSError: continue
        won()
""",
    ),
)
