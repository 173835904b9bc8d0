"""The ways to a server whose counts `scripts/exact` compares beside plain HTTP on one address.

Each way starts its servers and says what wring is to be called with; afterwards it gives the counts
of every log that must agree. Owns nothing else: children end with `peers.end_all`.
"""

import collections
import os
import select
import signal
import socket
import subprocess
import sys

import peers

BODY = 100
# Parts of the requests that the targets of `weights` get: first server, then the second.
WEIGHTS = (("a", 5), ("b", 3), ("c", 2))
RELAY_CHUNK_BYTES = 1 << 18

CONFIG = """\
daemon off;
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
    log_format one '$status $request_completion $uri';
    access_log off;
    default_type application/octet-stream;
    keepalive_timeout 600;
    keepalive_requests 1000000000;
    {http}
    server {{ listen 127.0.0.1:{ready}; location / {{ return 200 "ready"; }} }}
    {servers}
}}
"""


class Nginx:
    """An nginx of these servers. Each writes the log of its name with every request it got."""

    def __init__(self, options, folder, servers, http=""):
        nginx = peers.find_nginx()
        if nginx is None:
            raise peers.PeerError("nginx is not installed: apt-get install nginx-light")
        self.folder, ready = folder, peers.free_port()
        blocks = [
            f"server {{ access_log {folder}/{name}.log one buffer=64k;\n{lines} }}"
            for name, lines in servers.items()
        ]
        text = CONFIG.format(folder=folder, ready=ready, http=http, servers="\n".join(blocks))
        with open(f"{folder}/nginx.conf", "w", encoding="utf-8") as file:
            file.write(text)
        command = [nginx, "-p", folder, "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
        self.child = peers.start(command, options.server_cpu)
        # The readiness check goes to a server without a log.
        peers.wait_until_ready(self.child, f"http://127.0.0.1:{ready}/")

    def finish(self, name):
        """How often each path was answered whole and with 200, once nginx has ended in order."""
        peers.stop(self.child, signal.SIGQUIT)
        paths, wrong = collections.Counter(), 0
        with open(f"{self.folder}/{name}.log", encoding="ascii") as file:
            for line in file:
                good, _, path = line.rstrip().rpartition(" ")
                paths[path] += 1
                wrong += good != "200 OK"
        if wrong:
            print(f"  {name} logged {wrong} answers as incomplete or not 200")
        return paths


def answer():
    return f'location / {{ return 200 "{"x" * BODY}"; }}'


def certificate(folder):
    """A certificate for 127.0.0.1, and its key."""
    key, chain = f"{folder}/key.pem", f"{folder}/cert.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", chain, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "basicConstraints=critical,CA:FALSE",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode != 0:
        raise peers.PeerError(f"openssl makes no certificate: {made.stderr.decode()[-200:]}")
    return chain, key


class Way:
    """Servers that are up, and how wring reaches them."""

    def __init__(self, nginx, arguments, logs=("server",), depth=16):
        self.nginx, self.arguments, self.logs, self.depth = nginx, arguments, logs, depth
        self.one_per_connection = False
        # Path -> its part of the requests.
        self.parts = {}

    def finish(self):
        """Log -> path -> how often."""
        return {name: self.nginx.finish(name) for name in self.logs}


def tls_lines(folder, port):
    chain, key = certificate(folder)
    return f"listen 127.0.0.1:{port} ssl backlog=16384; ssl_certificate {chain};\
 ssl_certificate_key {key}; {answer()}"


def https(options):
    folder, port = peers.temporary_folder(), peers.free_port()
    nginx = Nginx(options, folder, {"server": tls_lines(folder, port)})
    return Way(nginx, ["--cacert", f"{folder}/cert.pem", f"https://127.0.0.1:{port}/"])


def unix(options):
    folder = peers.temporary_folder()
    path = f"{folder}/socket"
    nginx = Nginx(options, folder, {"server": f"listen unix:{path} backlog=16384; {answer()}"})
    return Way(nginx, ["--unix-socket", path, "http://unix/"])


def proxy(options):
    """Requests in absolute form to an nginx that passes them on: both count."""
    folder, front, port = peers.temporary_folder(), peers.free_port(), peers.free_port()
    http = f"upstream next {{ server 127.0.0.1:{port}; keepalive 256; \
keepalive_requests 1000000000; }}"
    passes_on = f"""listen 127.0.0.1:{front} backlog=16384;
        location / {{ proxy_pass http://next; proxy_http_version 1.1;
        proxy_set_header Connection ""; }}"""
    servers = {"proxy": passes_on, "server": f"listen 127.0.0.1:{port} backlog=16384; {answer()}"}
    nginx = Nginx(options, folder, servers, http)
    url = f"http://127.0.0.1:{port}/"
    return Way(nginx, ["--proxy", f"http://127.0.0.1:{front}", url], ("proxy", "server"))


def tunnel(options):
    """CONNECT, and the requests through it."""
    folder, port = peers.temporary_folder(), peers.free_port()
    nginx = Nginx(options, folder, {"server": f"listen 127.0.0.1:{port} backlog=16384; {answer()}"})
    front = start_relay(options, port)
    url = f"http://127.0.0.1:{port}/"
    return Way(nginx, ["--proxy", f"http://127.0.0.1:{front}", "--proxy-tunnel", url])


def tunnel_https(options):
    """CONNECT, then a handshake through the tunnel."""
    folder, port = peers.temporary_folder(), peers.free_port()
    nginx = Nginx(options, folder, {"server": tls_lines(folder, port)})
    front = start_relay(options, port)
    more = ["--cacert", f"{folder}/cert.pem", f"https://127.0.0.1:{port}/"]
    return Way(nginx, ["--proxy", f"http://127.0.0.1:{front}", *more])


def weights(options):
    """Three targets of two servers; each gets its part to the request."""
    folder, ports = peers.temporary_folder(), (peers.free_port(), peers.free_port())
    servers = {
        name: f"listen 127.0.0.1:{port} backlog=16384; {answer()}"
        for name, port in zip(("first", "second"), ports)
    }
    nginx = Nginx(options, folder, servers)
    path = f"{folder}/urls"
    with open(path, "w", encoding="ascii") as file:
        for number, (name, weight) in enumerate(WEIGHTS):
            file.write(f"{weight} GET http://127.0.0.1:{ports[number // 2]}/{name}\n")
    way = Way(nginx, ["--urls", path], ("first", "second"))
    way.parts = {f"/{name}": weight for name, weight in WEIGHTS}
    return way


def lone(flags):
    """One request on each connection, which wring closes by a reset: no port waits for its peer."""

    def make(options):
        folder, port = peers.temporary_folder(), peers.free_port()
        server = f"listen 127.0.0.1:{port} backlog=16384; {answer()}"
        nginx = Nginx(options, folder, {"server": server})
        arguments = [*flags, "--source-ip", "127.0.0.8/29", f"http://127.0.0.1:{port}/"]
        way = Way(nginx, arguments, depth=1)
        way.one_per_connection = True
        return way

    return make


WAYS = {
    "https": https,
    "unix": unix,
    "proxy": proxy,
    "tunnel": tunnel,
    "tunnel-https": tunnel_https,
    "weights": weights,
    "one-per-connection": lone(["--requests-per-connection", "1"]),
    "no-keepalive": lone(["--no-keepalive"]),
}


def start_relay(options, port):
    """A proxy that opens tunnels to one port, in a process of its own; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    with listener:
        command = ["python3", os.path.abspath(__file__), str(listener.fileno()), str(port)]
        peers.start(command, options.server_cpu, pass_fds=[listener.fileno()])
        return listener.getsockname()[1]


def relay(listener, port):
    """Grants every CONNECT and passes bytes on, both ways, until it is ended."""
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    heads, peer_of, sockets = {}, {}, {}
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                client, _ = listener.accept()
                sockets[client.fileno()], heads[client.fileno()] = client, b""
                poll.register(client, select.EPOLLIN)
                continue
            source = sockets.get(number)
            if source is None:
                continue
            try:
                received = source.recv(RELAY_CHUNK_BYTES)
            except OSError:
                received = b""
            if not received:
                for end in (source, peer_of.pop(number, None)):
                    if end is not None and end.fileno() >= 0:
                        peer_of.pop(end.fileno(), None)
                        sockets.pop(end.fileno(), None)
                        poll.unregister(end)
                        end.close()
                continue
            if number in heads:
                heads[number] += received
                if not heads[number].endswith(b"\r\n\r\n"):
                    continue
                del heads[number]
                server = socket.create_connection(("127.0.0.1", port))
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sockets[server.fileno()] = server
                peer_of[number], peer_of[server.fileno()] = server, source
                poll.register(server, select.EPOLLIN)
                source.sendall(b"HTTP/1.1 200 Tunnel\r\n\r\n")
                continue
            try:
                peer_of[number].sendall(received)
            except OSError:
                # Its own turn finds the end.
                pass


if __name__ == "__main__":
    relay(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
