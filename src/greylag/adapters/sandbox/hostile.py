"""The hostile programs of the conformance suite, as source text that runs inside a sandbox; never imported here."""

# Each `@attempt` returns None where it was stopped, else what it got. The facts it needs come as JSON on stdin.
ESCAPES = r"""
import ctypes, errno, fcntl, glob, json, os, pty, signal, socket, stat, sys, tempfile

facts = json.load(sys.stdin)
libc = ctypes.CDLL(None, use_errno=True)
found = {}

def attempt(name):
    def run(function):
        try:
            got = function()
            found[name] = repr(got)[:300] if got else ""
        except OSError as error:
            found[name] = ""
        except Exception as error:
            found[name] = "the check itself failed: %r" % error
    return run

def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(one) for one in arguments])
    return (result, errno.errorcode.get(ctypes.get_errno(), "OK"))

def succeeded(number, *arguments):
    result, name = call(number, *arguments)
    return (number, result, name) if result != -1 or name not in ("EPERM", "ENOSYS") else None

def contains(paths, secret):
    got = []
    for path in paths:
        try:
            with open(path, "rb") as file:
                if secret.encode() in file.read(1000000):
                    got.append(path)
        except OSError:
            pass
    return got

@attempt("environment of the platform")
def _():
    return contains(glob.glob("/proc/[0-9]*/environ") + ["/proc/self/environ"], facts["secret"])

@attempt("only the given variables")
def _():
    return sorted(set(os.environ) - set(facts["variables"]) - {"LC_CTYPE"})

@attempt("command lines hold no secret")
def _():
    return contains(glob.glob("/proc/[0-9]*/cmdline"), facts["secret"])

@attempt("files of the host")
def _():
    names = facts["hidden"]
    roots = ["", "/proc/1/root", "/proc/1/cwd", "/proc/self/root", "/proc/self/cwd/../../../.."]
    return [root + name for root in roots for name in names if os.path.lexists(root + name)]

@attempt("password hashes")
def _():
    return os.path.exists("/etc/shadow") and open("/etc/shadow").read(100)

@attempt("a link in the workspace to a host file")
def _():
    os.symlink(facts["hidden"][0], "leak")
    return open("leak").read()

@attempt("processes of the host")
def _():
    numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return len(numbers) > 8 and numbers

@attempt("signal to the platform")
def _():
    os.kill(facts["platform_pid"], 0)
    return facts["platform_pid"] not in [int(name) for name in os.listdir("/proc") if name.isdigit()] and "reached"

@attempt("descriptors left open")
def _():
    return [name for name in os.listdir("/proc/self/fd") if int(name) > 2 and os.path.exists("/proc/self/fd/" + name)]

@attempt("no new privileges, no capabilities, filter on")
def _():
    status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
    wanted = {"NoNewPrivs": "1", "Seccomp": "2"}
    wanted.update({name: "0" * 16 for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")})
    return {name: status.get(name) for name in wanted if status.get(name) != wanted[name]}

def connects(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.settimeout(1)
        one.connect(address)
        return "connected to %r" % (address,)

@attempt("TCP port of the host")
def _():
    return connects(socket.AF_INET, ("127.0.0.1", facts["port"]))

@attempt("abstract UNIX socket of the host")
def _():
    return connects(socket.AF_UNIX, "\0" + facts["abstract"])

@attempt("UNIX socket of the host")
def _():
    return connects(socket.AF_UNIX, facts["hidden_socket"])

@attempt("metadata address")
def _():
    return connects(socket.AF_INET, ("169.254.169.254", 80))

@attempt("datagrams and names")
def _():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"x", ("192.0.2.1", 53))
    return "sent"

@attempt("interfaces")
def _():
    return [name for _, name in socket.if_nameindex() if name != "lo"]

for label, family, kind, protocol in (
    ("AF_VSOCK", 40, socket.SOCK_STREAM, 0), ("AF_PACKET", 17, socket.SOCK_RAW, 0), ("AF_ALG", 38, 5, 0),
    ("AF_BLUETOOTH", 31, socket.SOCK_RAW, 1), ("AF_TIPC", 30, socket.SOCK_STREAM, 0),
    ("AF_XDP", 44, socket.SOCK_RAW, 0),
    ("raw IP", 2, socket.SOCK_RAW, 1), ("netlink netfilter", 16, socket.SOCK_RAW, 12),
):
    @attempt("socket " + label)
    def _():
        return socket.socket(family, kind, protocol) and "made"

@attempt("nested user name space")
def _():
    return succeeded(272, 0x10000000) or succeeded(272, 0x40000000)

@attempt("clone into a name space")
def _():
    result, name = call(56, 0x10000000 | 17, 0, 0, 0, 0)
    if result == 0:
        os._exit(0)
    return (result, name) if result != -1 else None

@attempt("system call ptrace")
def _():
    return succeeded(101, 16, 0, 0, 0)  # attach to nobody: "no such process" would mean that it was tried

for label, number in (
    ("process_vm_readv", 310), ("pidfd_getfd", 438), ("mount", 165), ("umount", 166),
    ("pivot_root", 155), ("chroot", 161), ("setns", 308), ("open_tree", 428), ("fsopen", 430), ("move_mount", 429),
    ("keyring add", 248), ("keyring", 250), ("bpf", 321), ("perf", 298), ("userfaultfd", 323), ("io_uring", 425),
    ("kexec", 246), ("module", 313), ("reboot", 169), ("swap", 167), ("kernel log", 103), ("clock", 227),
    ("open by handle", 304), ("fanotify", 300), ("uncounted memory", 319), ("unknown call", 500),
):
    @attempt("system call " + label)
    def _():
        return succeeded(number, 0, 0, 0, 0, 0)

@attempt("32-bit numbers of system calls")
def _():
    child = os.fork()
    if child == 0:
        libc.syscall(ctypes.c_long(0x40000000 + 39))
        os._exit(0)
    return os.waitpid(child, 0)[1] != signal.SIGSYS and "not killed"

@attempt("terminal input")
def _():
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, 0x5412, b"x")
    return "TIOCSTI worked"

@attempt("terminal input with high bits")
def _():
    ours, theirs = pty.openpty()
    return succeeded(16, theirs, 0x100005412, 0)

@attempt("controlling terminal")
def _():
    return os.open("/dev/tty", os.O_RDWR)

@attempt("writing outside the workspace")
def _():
    got = []
    folders = "/ /usr /usr/bin /etc /opt /var /run /dev /home /proc/sys/kernel /bin /lib"
    for folder in folders.split():
        try:
            name = os.path.join(folder, "greylag-test")
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o644))
            got.append(name)
        except OSError:
            pass
    for name in ("/etc/passwd", "/etc/hosts", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"):
        try:
            os.close(os.open(name, os.O_WRONLY))
            got.append(name)
        except OSError:
            pass
    return got

@attempt("devices")
def _():
    wanted = "null zero full random urandom tty ptmx pts shm fd stdin stdout stderr core console"
    return sorted(set(os.listdir("/dev")) - set(wanted.split()))

@attempt("making a device")
def _():
    os.mknod("disk", stat.S_IFBLK | 0o600, os.makedev(8, 0))
    return "made"

@attempt("setuid program")
def _():
    open("program", "w").close()
    os.chmod("program", 0o4755)
    return "mode set"

@attempt("becoming root")
def _():
    os.setuid(0)
    return "became root"

@attempt("setuid programs of the system")
def _():
    return os.getuid() != os.geteuid() and "uid differs"

@attempt("shared memory of the host")
def _():
    return [line for line in open("/proc/sysvipc/shm").read().splitlines()[1:]]

@attempt("host name")
def _():
    return socket.gethostname() == facts["host_name"] and facts["host_name"]

@attempt("kernel settings")
def _():
    return [path for path in ("/sys/kernel", "/sys/class", "/proc/kcore") if os.access(path, os.R_OK)]

print(json.dumps(found))
"""

# Reached by both ways, nothing else listens, and the port can't be taken over.
GATEWAY = r"""
import json, socket, sys
facts = json.load(sys.stdin)
found = {}

def ask(name, family, address):
    try:
        with socket.socket(family, socket.SOCK_STREAM) as one:
            one.settimeout(5)
            one.connect(address)
            one.sendall(b"hello\n")
            found[name] = one.makefile().readline().strip()
    except OSError as error:
        found[name] = type(error).__name__

ask("unix", socket.AF_UNIX, facts["socket"])
ask("tcp", socket.AF_INET, ("127.0.0.1", 8080))
ask("host port", socket.AF_INET, ("127.0.0.1", facts["port"]))
ask("metadata", socket.AF_INET, ("169.254.169.254", 80))
ask("real socket", socket.AF_UNIX, facts["hidden_socket"])
try:
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    taken.bind(("127.0.0.1", 8080))
    taken.listen()
    found["port taken"] = "yes"
except OSError:
    found["port taken"] = ""
print(json.dumps(found))
"""

FORK_BOMB = r"""
import os, time
count = 0
try:
    while count < 5000:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        count += 1
except OSError:
    pass
print(count, flush=True)
"""

MEMORY = r"""
import mmap, os, sys, time
share = int(sys.argv[2]) * 1024 * 1024
if sys.argv[1] == "private":
    try:
        kept = bytearray(share)
        print("got it")
    except MemoryError:
        sys.exit(9)
    sys.exit(0)
for _ in range(int(sys.argv[3])):
    if os.fork() == 0:
        kept = mmap.mmap(-1, share)
        for place in range(0, share, 4096):
            kept[place] = 1
        time.sleep(60)
time.sleep(60)
"""

DISK = r"""
import os, sys, time
if sys.argv[1] == "locked":
    os.mkdir("locked")
    os.chdir("locked")
    os.chmod(".", 0o300)
if sys.argv[1] == "deep":
    for _ in range(400):
        os.mkdir("d")
        os.chdir("d")
count = 0
while True:
    with open("f%d" % count, "wb") as file:
        if sys.argv[1] != "many":
            file.write(b"x" * 1000000)
    count += 1
    time.sleep(0.02 if sys.argv[1] != "many" else 0.001)
"""

DAEMON = r"""
import os, signal, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            with open("alive", "ab") as file:
                file.write(b".")
            time.sleep(0.01)
    os._exit(0)
while not os.path.exists("alive"):
    time.sleep(0.01)
print("left", flush=True)
"""
