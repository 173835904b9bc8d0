//! Servers and runs for black-box tests of the built binary.
//!
//! Owns an nginx of its own (free port, temporary folder, stopped by process id when dropped) and
//! the running of `wring` with a bound on time. Knows nothing of the library: what is tested here is
//! what users run. A missing peer skips a test loudly, and fails it under `WRING_REQUIRE_PEERS=1`.

// Each test binary compiles its own copy and uses a part of it.
#![allow(dead_code, clippy::allow_attributes, reason = "every test binary uses its own part")]

pub(crate) mod bytes;
pub(crate) mod denied;
pub(crate) mod faults;
pub(crate) mod proxies;
pub(crate) mod scripted;
pub(crate) mod serve;

use std::fs;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const READY_MAX: Duration = Duration::from_secs(30);
const STOP_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);

/// A folder that is removed when dropped.
pub(crate) struct Folder(TempDir);

impl Folder {
    /// A new, empty folder, which an nginx worker of another user may read.
    pub(crate) fn new() -> Self {
        let readable = fs::Permissions::from_mode(0o755);
        let made = tempfile::Builder::new().prefix("wring-test-").permissions(readable).tempdir();
        Self(made.expect("a temporary folder"))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// An nginx with one worker that logs every request.
pub(crate) struct Nginx {
    child: Child,
    folder: Folder,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _port: Port,
}

impl Nginx {
    /// Starts nginx with directives for its `server` block, for instance
    /// `location / { return 200 "ok"; }` or `keepalive_requests 10;`. Unless the snippet says
    /// otherwise, connections are kept for ever.
    ///
    /// `None` (and a word on stderr) when nginx is not installed.
    pub(crate) fn start(server: &str) -> Option<Self> {
        Self::start_with("", server)
    }

    /// The same with directives for the `http` block before it, such as an `upstream`.
    pub(crate) fn start_with(http: &str, server: &str) -> Option<Self> {
        let program = find_program("nginx")?;
        let nginx = Self::try_start(&program, http, server);
        assert!(nginx.is_some(), "nginx does not start; try its configuration by hand:\n{server}");
        nginx
    }

    fn try_start(program: &Path, http: &str, server: &str) -> Option<Self> {
        let folder = Folder::new();
        let port = Port::reserve();
        let address = port.address();
        let config = folder.path().join("nginx.conf");
        fs::write(&config, configuration(folder.path(), address, http, server)).expect("writable");
        let child = Command::new(program)
            .arg("-p")
            .arg(folder.path())
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx can be executed");
        let mut nginx = Self { child, folder, address, _port: port };
        nginx.is_ready().then_some(nginx)
    }

    /// Waits for the process to listen; a bare connection is not a request and is not logged.
    fn is_ready(&mut self) -> bool {
        let deadline = Instant::now() + READY_MAX;
        while Instant::now() < deadline {
            if self.child.try_wait().expect("own child").is_some() {
                return false;
            }
            if TcpStream::connect(self.address).is_ok() {
                return true;
            }
            thread::sleep(POLL);
        }
        false
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// `http://address/path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Stops nginx in order, so that its log is complete, and gives the log: one line for each
    /// request it received, `status completion`, where completion is `OK` for a whole answer.
    ///
    /// Clients must have closed their connections: nginx waits some seconds for those it has closed
    /// with requests unread, and logs their last request only then.
    pub(crate) fn into_log(self) -> Vec<String> {
        self.into_log_named("access.log")
    }

    /// The same for a log that the directives name.
    pub(crate) fn into_log_named(mut self, name: &str) -> Vec<String> {
        stop(&mut self.child, "QUIT");
        let log = fs::read_to_string(self.folder.path().join(name)).expect("nginx logs");
        log.lines().map(str::to_owned).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        stop(&mut self.child, "TERM");
    }
}

fn configuration(folder: &Path, address: SocketAddr, http: &str, server: &str) -> String {
    let folder = folder.display();
    let keep =
        if server.contains("keepalive_requests") { "" } else { "keepalive_requests 1000000000;" };
    format!(
        "daemon off;
worker_processes 1;
worker_rlimit_nofile 8192;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    log_format one '$status $request_completion';
    access_log {folder}/access.log one buffer=64k;
    default_type application/octet-stream;
    keepalive_timeout 600;
    {keep}
    {http}
    server {{
        listen {address} backlog=4096;
        {server}
    }}
}}
"
    )
}

/// The path of a program, or `None` when tests may do without it.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers where only root's PATH leads.
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|program| program.is_file());
    if found.is_none() {
        let is_required = std::env::var_os("WRING_REQUIRE_PEERS").is_some_and(|value| value == "1");
        assert!(!is_required, "{name} is not installed and WRING_REQUIRE_PEERS=1 asks for it");
        // Written past the test harness's capture, which hides what a passing test says.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {name} is missing, apt-get install {name}");
    }
    found
}

/// A loopback port of our own: nobody is given it unasked, and only a server that is told its number
/// can listen there.
pub(crate) struct Port(socket2::Socket);

impl Port {
    pub(crate) fn reserve() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.expect("a socket");
        // Lets a server that asks for the same share it, which every server does (socket(7)).
        socket.set_reuse_address(true).expect("a socket's option");
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        socket.bind(&any.into()).expect("loopback has a free port");
        Self(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let bound = self.0.local_addr().expect("bound");
        bound.as_socket().expect("an IPv4 address")
    }
}

/// Sends the signal of that name, then plainer ones, until the process is gone.
fn stop(child: &mut Child, signal: &str) {
    // TERM before KILL: a killed master would leave its worker behind.
    for signal in [signal, "TERM", "KILL"] {
        if child.try_wait().expect("own child").is_some() {
            return;
        }
        let _ = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status();
        ends_within(child, STOP_MAX);
    }
}

fn ends_within(child: &mut Child, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while child.try_wait().expect("own child").is_none() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(POLL);
    }
    true
}

/// Runs the built `wring` to its end; a run longer than `limit` is killed and fails the test.
pub(crate) fn wring(arguments: &[&str], limit: Duration) -> Output {
    run(Command::new(env!("CARGO_BIN_EXE_wring")).args(arguments).args(engine(arguments)), limit)
}

/// `tests/process/engine.rs` holds the tests of other files as modules, which run on epoll there: their own
/// support then lies one module deeper than that of a file that stands alone.
fn engine(arguments: &[&str]) -> &'static [&'static str] {
    let is_below_engine = module_path!() != concat!(env!("CARGO_CRATE_NAME"), "::support");
    let measures = !matches!(arguments.first(), Some(&("report" | "serve")));
    if is_below_engine && measures { &["--engine", "epoll"] } else { &[] }
}

/// Runs any command to its end, like `wring`.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Output {
    Running::start(command).finish(limit)
}

/// A program that runs, its two streams being read; killed when dropped.
pub(crate) struct Running {
    child: Child,
    name: String,
    streams: [Option<JoinHandle<Vec<u8>>>; 2],
}

impl Running {
    /// Starts it, with nothing on its standard input.
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be executed");
        // Both pipes are read while the program runs: a full one would stop it.
        let stdout = Some(read_aside(child.stdout.take().expect("piped")));
        let stderr = Some(read_aside(child.stderr.take().expect("piped")));
        Self { child, name: format!("{command:?}"), streams: [stdout, stderr] }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether its parent can collect it: a zombie has ended.
    pub(crate) fn has_ended(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.unwrap_or_default();
        stat.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with(['Z', 'X']))
    }

    /// Sends the signal of that name, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").arg(format!("-{name}")).arg(id).status();
        assert!(status.is_ok_and(|status| status.success()), "{} is gone", self.name);
    }

    /// Waits for the end; a program that runs longer than `limit` is killed and fails the test.
    pub(crate) fn finish(mut self, limit: Duration) -> Output {
        let in_time = ends_within(&mut self.child, limit);
        if !in_time {
            let _ = self.child.kill();
        }
        let status = self.child.wait().expect("own child");
        let [stdout, stderr] = self.streams.each_mut().map(|stream| {
            stream.take().map(|reader| reader.join().expect("reads")).unwrap_or_default()
        });
        let output = Output { status, stdout, stderr };
        assert!(in_time, "{} ran longer than {limit:?}\n{}", self.name, said(&output));
        output
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_aside(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("readable");
        bytes
    })
}

/// Everything a run printed, for the message of a failing assertion.
pub(crate) fn said(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    format!("{}\nstdout:\n{stdout}\nstderr:\n{stderr}", output.status)
}

/// Whether a run ended with `code`, or was called invalid for the one reason that this machine gave
/// wring no CPU in time: its times are worth nothing then, and its counts are as exact as ever.
pub(crate) fn ended_with(output: &Output, code: i32) -> bool {
    const LATE: [&str; 4] = [
        "a worker's loop stood still for ",
        "wring itself sent late",
        "wring itself was late for the deadline",
        "waited for its CPU for ",
    ];
    let ended = output.status.code();
    if ended == Some(code) || ended != Some(4) {
        return ended == Some(code);
    }
    let words = said(output);
    let is_late = LATE.iter().any(|late| words.contains(late));
    let is_worse = words.contains("is broken") || words.contains("ended before the run");
    // The other codes are for what is worse than an invalid measurement, and come first.
    is_late && !is_worse && ![1, 2, 3].contains(&code)
}

/// The same for a run that is to end well.
pub(crate) fn is_measured(output: &Output) -> bool {
    ended_with(output, 0)
}

/// The report of a run with `--json`, which must be all there is on stdout.
pub(crate) fn report_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("stdout is not one JSON value: {error}: {}", said(output)))
}

/// How many descriptors a process may have open when it asks for as many as it can.
pub(crate) fn descriptors_max() -> u64 {
    let limits = fs::read_to_string("/proc/self/limits").expect("Linux");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let hard = line.expect("proc(5)").split_whitespace().nth(1).expect("a hard limit");
    hard.parse().unwrap_or(u64::MAX)
}

/// CPUs this process may use, which need not begin at 0 nor follow each other.
pub(crate) fn allowed_cpus() -> Vec<u32> {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let list = list.expect("proc(5)").trim().split(',').map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<u32>().expect("a number");
        number(first)..=number(last)
    });
    list.flatten().collect()
}

/// The number at a JSON pointer.
pub(crate) fn number(report: &Value, pointer: &str) -> u64 {
    let value = report.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {report}"));
    value.as_u64().unwrap_or_else(|| panic!("{pointer} is {value}"))
}

/// The verdict counts as trust: no identity is broken, and I1 to I5 and I7 were checked.
pub(crate) fn assert_identities_hold(report: &Value) {
    let identities = report["identities"].as_array().expect("a list");
    for check in identities {
        let name = check["name"].as_str().expect("a name");
        assert_ne!(check["holds"], false, "{check}");
        assert!(check["holds"] == true || ["I6", "I8"].contains(&name), "{name} is not checked");
    }
    assert_eq!(identities.len(), 8);
    // What came after the window took time to come.
    assert!(number(report, "/drain/completed") == 0 || number(report, "/drain/length_ns") > 0);
}
