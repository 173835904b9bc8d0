"""Starts and ends the servers that the scripts measure against.

Owns child processes: whatever is started here ends with `end_all`, by process id. Every wait is
bounded. Knows nothing of what is measured.
"""

import ctypes
import fcntl
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

READY_SECONDS_MAX = 5.0
# Longer than the five seconds for which nginx lets a closed connection linger.
STOP_SECONDS_MAX = 8.0
REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CONGESTION_CONTROL = "/proc/sys/net/ipv4/tcp_congestion_control"
DEFAULT_WRING = os.path.join(REPOSITORY, "target", "release", "wring")

_children = []
_folders = []


class PeerError(Exception):
    """A server or tool that does not do its part; the text says what to try."""


def end_on_signals():
    """Makes SIGTERM and SIGHUP end Python in order, so that `finally` blocks run."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: sys.exit(128 + received))


def add_network_option(add):
    """Adds `--congestion-control` by a parser's `add_argument`, for `enter_network`."""
    add("--congestion-control", default="reno", metavar="NAME",
        help="TCP congestion control of all sockets, in a network namespace of the script's own "
             "(reno); `system` leaves everything as it is")  # fmt: skip


def enter_network(congestion_control):
    """Moves this process into a network namespace of its own whose sockets get `congestion_control`.

    BBR, a common default, paces every sender with a timer. In a virtual machine each of those is a
    trap to the host, and a server that sends large bodies over loopback spends more than half of its
    CPU time on them: what is compared then are the server's timers. The namespace leaves the
    machine's own settings alone. Returns the congestion control in use, with a word when it is still
    the system's.
    """
    refused = "as asked for" if congestion_control == "system" else try_network(congestion_control)
    with open(CONGESTION_CONTROL, encoding="utf-8") as file:
        in_use = file.read().strip()
    return f"{in_use} (the system's: {refused})" if refused else in_use


def try_network(congestion_control):
    """Does it, or says why it could not be done and leaves everything as it was."""
    clone_newnet = 0x40000000
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(clone_newnet) != 0:
            return f"no network namespace of its own: {os.strerror(ctypes.get_errno())}"
        try:
            with open(CONGESTION_CONTROL, "w", encoding="utf-8") as file:
                file.write(congestion_control)
            bring_loopback_up()
        except OSError as error:
            libc.setns(home, clone_newnet)
            return f"{congestion_control} cannot be set: {error.strerror}"
    finally:
        os.close(home)
    return None


def bring_loopback_up():
    get_flags, set_flags, up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = fcntl.ioctl(control, get_flags, struct.pack("16sh22x", b"lo", 0))
        flags = struct.unpack("16sh22x", request)[1]
        fcntl.ioctl(control, set_flags, struct.pack("16sh22x", b"lo", flags | up))


def end_all():
    """Ends every server and removes every temporary folder of this process."""
    for child in _children:
        stop(child)
    for folder in _folders:
        shutil.rmtree(folder, ignore_errors=True)


def temporary_folder():
    folder = tempfile.mkdtemp(prefix="wring-")
    _folders.append(folder)
    # A server that gave up root must still reach its files.
    os.chmod(folder, 0o755)
    return folder


def pin_to(cpu):
    """For `preexec_fn`: `taskset` without the extra process."""
    return None if cpu is None else lambda: os.sched_setaffinity(0, {cpu})


def start(command, cpu=None, **options):
    try:
        child = subprocess.Popen(command, preexec_fn=pin_to(cpu), **options)
    except OSError as error:
        raise PeerError(f"cannot start {command[0]}: {error.strerror}") from error
    _children.append(child)
    return child


def stop(child, number=signal.SIGTERM):
    """Asks the child to end, in plainer words each time, then ends it."""
    for request in (number, signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None:
            return
        child.send_signal(request)
        try:
            child.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            continue


def peak_bytes(pid):
    """Peak resident memory (VmHWM), or None once the process is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            match = re.search(r"^VmHWM:\s+(\d+) kB$", file.read(), re.MULTILINE)
    except OSError:
        return None
    return int(match[1]) * 1024 if match else None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=READY_SECONDS_MAX) as answer:
        return answer.read()


def wait_until_ready(child, url, body_bytes=None):
    """Waits for the first right answer; a wrong body is an error at once."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while True:
        if child.poll() is not None:
            raise PeerError(f"{child.args[0]} ended with {child.returncode} instead of serving")
        try:
            found = len(get(url))
            break
        except OSError as error:
            if time.monotonic() > deadline:
                raise PeerError(f"{url} gave no answer in {READY_SECONDS_MAX} s: {error}") from error
            time.sleep(0.02)
    if body_bytes is not None and found != body_bytes:
        raise PeerError(f"{url} answers {found} bytes, wanted {body_bytes}")


def find_nginx():
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


NGINX_CONFIG = """\
daemon off;
master_process {master};
worker_processes 1;
worker_rlimit_nofile 65536;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 16384; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    log_format one '$status $request_completion';
    access_log {access_log};
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=64;
    keepalive_timeout 600;
    keepalive_requests {keepalive_requests};
    server {{
        listen 127.0.0.1:{port} backlog=16384;
        root {folder}/files;
        # Held back to fill a packet, the last answer of a pipelined batch would wait for a timer.
        location /pipelined/ {{ tcp_nopush off; alias {folder}/files/; }}
    }}
}}
"""


def start_nginx(bodies, cpu=None, log=False, keepalive_requests=1_000_000_000):
    """An nginx serving a file of each size. Returns (child, base URL, log path).

    Without a log it is a single process, whose CPU time is the child's.
    """
    nginx = find_nginx()
    if nginx is None:
        raise PeerError("nginx is not installed: apt-get install nginx-light")
    folder = temporary_folder()
    os.mkdir(f"{folder}/files")
    for size in bodies:
        with open(f"{folder}/files/{size}", "wb") as file:
            file.write(b"x" * size)
    port = free_port()
    log_path = f"{folder}/access.log"
    config = NGINX_CONFIG.format(
        folder=folder,
        port=port,
        keepalive_requests=keepalive_requests,
        # Only a worker under a master ends in order: it logs what still lingers before it goes.
        master="on" if log else "off",
        access_log=f"{log_path} one buffer=64k" if log else "off",
    )
    with open(f"{folder}/nginx.conf", "w", encoding="utf-8") as file:
        file.write(config)
    command = [nginx, "-p", folder, "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
    child = start(command, cpu)
    url = f"http://127.0.0.1:{port}/"
    wait_until_ready(child, f"{url}{bodies[0]}", bodies[0])
    return child, url, log_path


def start_wring_serve(wring, body, cpu=None, engine=None, threads=1, more=(), **options):
    """One `wring serve`. Returns (child, URL)."""
    port = free_port()
    command = [wring, "serve", "--listen", f"127.0.0.1:{port}", "--threads", str(threads)]
    command += ["--body", str(body), *more]
    command += [] if cpu is None else ["--cpus", str(cpu)]
    command += [] if engine is None else ["--engine", engine]
    child = start(command, cpu, **options)
    url = f"http://127.0.0.1:{port}/"
    wait_until_ready(child, url, body)
    return child, url
