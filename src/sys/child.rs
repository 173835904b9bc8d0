//! Programs that wring starts: in a group of their own, on CPUs of choice, stopped whatever happens.
//!
//! The idea: a command line may start any number of processes. They are found as the family of the
//! first, as its process group, and, because wring is the one that orphans are given to while it owns
//! a child (prctl(2), `PR_SET_CHILD_SUBREAPER`), as those that lost their parent and came to wring.
//! What has ended and was not collected yet is dead. Whoever drops a `Child` has stopped it.
#![expect(unsafe_code, reason = "the standard library neither pins a child nor signals a group")]

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::usage::{Stat, all_processes, family, stat_of};
use super::{block_signals_in_this_thread, check};

/// How much of what a child prints is kept, in bytes: the end of it.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;
/// How long a child may take to end when asked to, before it is killed.
pub const STOP_PATIENCE: Duration = Duration::from_secs(3);
const STOP_LOOK: Duration = Duration::from_millis(5);
/// How long killed processes may take to be gone: the kernel may be busy with them.
const KILL_PATIENCE: Duration = Duration::from_secs(1);
/// How long a server on this machine may take to accept and to reply.
const LOCAL: Patience =
    Patience { connect: Duration::from_millis(50), reply: Duration::from_secs(2) };
/// How often whoever waits for a reply looks whether to give up.
const REPLY_LOOK: Duration = Duration::from_millis(50);
/// How much of one is looked at.
const REPLY_BYTES_MAX: usize = 512;

/// The processes that are children of this one by its own doing, so that orphans are told from them.
static STARTED: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// A command line that runs, with everything that it started.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    /// When it started, which tells its descendants from processes that were there before.
    started_ticks: u64,
    output: Arc<Mutex<VecDeque<u8>>>,
    ended: Option<ExitStatus>,
    is_stopped: bool,
    /// Every process that was seen to have come of it, with when it started: one that has a group of
    /// its own is known by nothing else when its parents are gone.
    seen: Vec<(u32, u64)>,
}

impl Child {
    /// Starts `command` by a shell, which a plain command takes the place of, on `cpus` if any are
    /// named. It does not outlive the calling thread by much: it is asked to end when that ends,
    /// however it ends.
    pub fn start(command: &str, cpus: &[u32]) -> io::Result<Self> {
        let (mut reader, writer) = io::pipe()?;
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(executed(command).as_ref()).stdin(Stdio::null());
        shell.stdout(writer.try_clone()?).stderr(writer).process_group(0);
        let set = cpu_set(cpus);
        let is_pinned = !cpus.is_empty();
        let parent = std::process::id();
        let prepare = move || {
            // SAFETY: the call takes no pointers, and is allowed between fork and exec.
            check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) })?;
            // A parent that ended before that is told of to nobody.
            // SAFETY: the call takes nothing, and is allowed between fork and exec.
            if unsafe { libc::getppid() }.cast_unsigned() != parent {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if is_pinned {
                let bytes = size_of::<libc::cpu_set_t>();
                // SAFETY: `set` is a valid CPU set of that size during the call.
                check(unsafe { libc::sched_setaffinity(0, bytes, &raw const set) })?;
            }
            Ok(())
        };
        // SAFETY: the closure makes three system calls and allocates nothing.
        unsafe { shell.pre_exec(prepare) };
        let mut started = started();
        adopt_orphans(true);
        let process = shell.spawn().inspect_err(|_| adopt_orphans(!started.is_empty()))?;
        started.push(process.id());
        drop(started);
        // The command holds our copies of the pipe's end, without which it would never close.
        drop(shell);
        let output = Arc::new(Mutex::new(VecDeque::new()));
        let child = Self {
            started_ticks: stat_of(process.id()).map_or(0, |stat| stat.started_ticks),
            process,
            output: Arc::clone(&output),
            ended: None,
            is_stopped: false,
            seen: Vec::new(),
        };
        // Ends with the last process that holds the pipe; nobody waits for it.
        thread::Builder::new().name("wring-output".to_owned()).spawn(move || {
            block_signals_in_this_thread();
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut piece) {
                let mut kept = output.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(&piece[..count]);
                let surplus = kept.len().saturating_sub(OUTPUT_BYTES_MAX);
                kept.drain(..surplus);
            }
        })?;
        Ok(child)
    }

    /// The process id of what was started first, which leads the group.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// How what was started first ended, if it has: `exit status 1`, `signal 9`.
    pub fn ended(&mut self) -> Option<String> {
        if self.ended.is_none() {
            self.ended = self.process.try_wait().ok().flatten();
        }
        self.ended.map(|status| match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "an unknown status".to_owned(),
        })
    }

    /// Whether what was started first has ended without a fault, and others that came of it go on:
    /// it went to the background.
    pub fn is_in_background(&mut self) -> bool {
        self.ended().is_some()
            && self.ended.is_some_and(|status| status.success())
            && self.members(&all_processes()).iter().any(|(_, stat)| !stat.has_ended)
    }

    /// The end of what it and its children have printed, on both streams.
    pub fn output(&self) -> String {
        let kept = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Asks everything to end that `children` started, and kills what is left after `patience`, or as
    /// soon as `is_urgent`. Returns when all of it is gone.
    pub fn stop_all(children: &mut [&mut Self], patience: Duration, is_urgent: &dyn Fn() -> bool) {
        let mut children: Vec<_> = children.iter_mut().filter(|child| !child.is_stopped).collect();
        for child in &mut children {
            child.signal(libc::SIGTERM);
        }
        let deadline = Instant::now() + patience;
        loop {
            children.retain_mut(|child| child.is_alive());
            if children.is_empty() || Instant::now() >= deadline || is_urgent() {
                break;
            }
            thread::sleep(STOP_LOOK);
        }
        let deadline = Instant::now() + KILL_PATIENCE;
        while !children.is_empty() && Instant::now() < deadline {
            for child in &mut children {
                child.signal(libc::SIGKILL);
            }
            thread::sleep(STOP_LOOK);
            children.retain_mut(|child| child.is_alive());
        }
    }

    /// Whether any process of it is left; collects those that have ended, and is done with it when
    /// none is.
    fn is_alive(&mut self) -> bool {
        let leads = self.ended().is_none();
        let processes = all_processes();
        let own = std::process::id();
        let mut is_alive = leads;
        for (pid, stat) in self.members(&processes) {
            match stat.has_ended {
                true if stat.parent == own && pid != self.id() => collect(pid),
                true => {}
                false => is_alive = true,
            }
        }
        // Where nothing is told of processes, the group is all there is to ask.
        is_alive |= processes.is_empty() && self.signal_group(0);
        if !is_alive && !self.is_stopped {
            self.is_stopped = true;
            let mut started = started();
            started.retain(|pid| *pid != self.process.id());
            adopt_orphans(!started.is_empty());
        }
        is_alive
    }

    /// Every process that came of it, those that nobody has collected included.
    fn members(&mut self, processes: &[(u32, Stat)]) -> Vec<(u32, Stat)> {
        let parents: Vec<(u32, u32)> =
            processes.iter().map(|(pid, stat)| (*pid, stat.parent)).collect();
        let (own, started) = (std::process::id(), started().clone());
        let own_session = stat_of(own).map(|stat| stat.session);
        let came_to_wring = |pid: u32, stat: &Stat| {
            stat.parent == own
                && !started.contains(&pid)
                && stat.started_ticks >= self.started_ticks
                // A child of this process by other means stays in its session; what goes to the
                // background makes one of its own.
                && own_session.is_some_and(|session| stat.session != session)
        };
        let mut pids = family(self.id(), &parents);
        for (pid, stat) in processes {
            let is_known = self.seen.contains(&(*pid, stat.started_ticks));
            let is_one = is_known || stat.group == self.id() || came_to_wring(*pid, stat);
            if is_one && !pids.contains(pid) {
                pids.extend(family(*pid, &parents));
            }
        }
        let members: Vec<(u32, Stat)> =
            processes.iter().filter(|(pid, _)| pids.contains(pid)).copied().collect();
        self.seen = members.iter().map(|(pid, stat)| (*pid, stat.started_ticks)).collect();
        members
    }

    /// Sends the signal to everything that came of it.
    fn signal(&mut self, signal: libc::c_int) {
        // Found before the first of them ends.
        let members = self.members(&all_processes());
        self.signal_group(signal);
        for (pid, stat) in members {
            if stat.group != self.id() && !stat.has_ended {
                // SAFETY: the call takes no pointers.
                let _ = unsafe { libc::kill(pid.cast_signed(), signal) };
            }
        }
    }

    /// Sends the signal to the group; false when there is none any more.
    fn signal_group(&self, signal: libc::c_int) -> bool {
        let group = self.process.id().cast_signed();
        // SAFETY: the call takes no pointers.
        unsafe { libc::kill(-group, signal) == 0 }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        Self::stop_all(&mut [self], STOP_PATIENCE, &|| false);
    }
}

fn started() -> MutexGuard<'static, Vec<u32>> {
    STARTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether processes whose parent has ended are given to this one, if they descend from it.
fn adopt_orphans(does: bool) {
    // SAFETY: the call takes no pointers. Where it is refused, orphans go to init.
    let _ = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, libc::c_ulong::from(does)) };
}

/// Collects an orphan that has ended.
fn collect(pid: u32) {
    let status = std::ptr::null_mut();
    // SAFETY: the status is not asked for.
    let _ = unsafe { libc::waitpid(pid.cast_signed(), status, libc::WNOHANG) };
}

/// Words that the shell itself must read, so that nothing can take its place.
const SHELL_WORDS: &[&str] = &[
    "!", ".", ":", "[[", "alias", "bg", "break", "case", "cd", "command", "eval", "exec", "exit",
    "export", "false", "fg", "for", "function", "getopts", "hash", "if", "jobs", "local", "read",
    "readonly", "return", "select", "set", "shift", "source", "time", "times", "trap", "true",
    "type", "ulimit", "umask", "unalias", "unset", "until", "wait", "while", "{",
];

/// `command` with `exec` in front of its first word, if it is a single plain command: the program
/// then takes the shell's place instead of being its child, which dash leaves it. Assignments stay in
/// front of it.
fn executed(command: &str) -> Cow<'_, str> {
    match program_at(command) {
        Some(at) => Cow::Owned(format!("{}exec {}", &command[..at], &command[at..])),
        None => Cow::Borrowed(command),
    }
}

/// Where the program's name starts in a single plain command; `None` of anything else, and where a
/// glance does not tell.
fn program_at(command: &str) -> Option<usize> {
    let text = command.trim_end();
    let (mut quote, mut is_escaped, mut previous) = (None, false, ' ');
    let (mut word_at, mut program_at) = (None, None);
    for (at, c) in text.char_indices() {
        let is_plain = quote.is_none() && !is_escaped;
        if is_plain && c.is_whitespace() {
            if c == '\n' {
                return None;
            }
            if let Some(from) = word_at.take()
                && program_at.is_none()
                && !is_assignment(&text[from..at])
            {
                program_at = Some((from, at));
            }
        } else {
            if is_plain && c == '#' && word_at.is_none() {
                break;
            }
            word_at.get_or_insert(at);
        }
        let is_redirection = matches!(previous, '<' | '>');
        match (quote, c) {
            _ if is_escaped => is_escaped = false,
            (None | Some('"'), '\\') => is_escaped = true,
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None | Some('"'), '`') => return None,
            (Some('"'), '(') if previous == '$' => return None,
            (None, '&') if !is_redirection => return None,
            (None, '<') if previous == '<' => return None,
            (None, ';' | '|' | '(' | ')') => return None,
            _ => {}
        }
        previous = c;
    }
    if quote.is_some() || is_escaped {
        return None;
    }
    let last = word_at.map(|from| (from, text.len()));
    let last = last.filter(|(from, to)| !is_assignment(&text[*from..*to]));
    let (from, to) = program_at.or(last)?;
    (!SHELL_WORDS.contains(&&text[from..to])).then_some(from)
}

/// `NAME=value`
fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

fn cpu_set(cpus: &[u32]) -> libc::cpu_set_t {
    // SAFETY: a CPU set is plain bits, of which all zeros is a valid value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &cpu in cpus.iter().filter(|cpu| (**cpu as usize) < libc::CPU_SETSIZE as usize) {
        // SAFETY: the CPU's place was checked to lie within the set.
        unsafe { libc::CPU_SET(cpu as usize, &mut set) };
    }
    set
}

/// A port of loopback that nobody listened on a moment ago.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// How long one attempt to get a reply may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until there is a connection.
    pub connect: Duration,
    /// From then on until there are bytes.
    pub reply: Duration,
}

/// Whether anything comes back from `address`, on this machine, when it is sent `bytes`; no, once
/// `gives_up`.
pub fn replies(address: SocketAddr, bytes: &[u8], gives_up: &dyn Fn() -> bool) -> bool {
    !reply(address, bytes, LOCAL, gives_up).is_empty()
}

/// The first bytes of what is sent back by whoever listens there when sent `bytes`; none where that
/// takes longer than `patience` or nobody does, or once `gives_up`.
pub fn reply(
    address: SocketAddr,
    bytes: &[u8],
    patience: Patience,
    gives_up: &dyn Fn() -> bool,
) -> Vec<u8> {
    let read = || -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&address, patience.connect)?;
        stream.set_read_timeout(Some(REPLY_LOOK))?;
        stream.set_write_timeout(Some(REPLY_LOOK))?;
        stream.write_all(bytes)?;
        let mut reply = vec![0; REPLY_BYTES_MAX];
        let deadline = Instant::now() + patience.reply;
        loop {
            match stream.read(&mut reply) {
                Ok(count) => {
                    reply.truncate(count);
                    return Ok(reply);
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock
                            | io::ErrorKind::TimedOut
                            | io::ErrorKind::Interrupted
                    ) && Instant::now() < deadline
                        && !gives_up() => {}
                Err(error) => return Err(error),
            }
        }
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_for(what: &str, mut is: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is() {
            assert!(Instant::now() < deadline, "{what} did not come");
            thread::sleep(STOP_LOOK);
        }
    }

    fn is_running(pid: u32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with(['Z', 'X', '\0']))
            && !stat.is_empty()
    }

    #[test]
    fn a_child_that_ends_says_how_and_what_it_printed() {
        let mut child = Child::start("echo one; echo two >&2; exit 3", &[]).unwrap();
        wait_for("the end", || child.ended().is_some());
        wait_for("the output", || child.output() == "one\ntwo\n");
        assert_eq!(child.ended().unwrap(), "exit status 3");
        let mut killed = Child::start("kill -9 $$", &[]).unwrap();
        wait_for("the end", || killed.ended().is_some());
        assert_eq!(killed.ended().unwrap(), "signal 9");
    }

    #[test]
    fn stopping_reaches_the_whole_group_and_kills_what_will_not_end() {
        let command = "sleep 600 & echo $!; trap '' TERM; sleep 601 & echo $!; wait; wait";
        let mut child = Child::start(command, &[]).unwrap();
        wait_for("both ids", || child.output().lines().count() == 2);
        let ids: Vec<u32> = child.output().lines().map(|id| id.parse().unwrap()).collect();
        assert!(ids.iter().all(|id| is_running(*id)));
        // The leader ignores the request, so all of this goes by.
        let begun = Instant::now();
        Child::stop_all(&mut [&mut child], Duration::from_millis(300), &|| false);
        assert!(begun.elapsed() >= Duration::from_millis(300));
        for id in ids {
            assert!(!is_running(id), "{id} is left");
        }
        assert!(!is_running(child.id()));
    }

    #[test]
    fn what_has_a_group_of_its_own_is_stopped_though_its_parents_are_gone() {
        let command = "timeout 600 sh -c 'trap \"\" TERM; echo $$ >&2; while :; do sleep 0.05; done' \
                       | cat; :";
        let mut child = Child::start(command, &[]).unwrap();
        wait_for("its id", || child.output().lines().count() == 1);
        let id: u32 = child.output().trim().parse().unwrap();
        let begun = Instant::now();
        Child::stop_all(&mut [&mut child], Duration::from_millis(300), &|| false);
        // It ignores the request, so it was waited for and then killed.
        assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
        assert!(!is_running(id), "{id} is left");
    }

    #[test]
    fn an_urgent_stop_waits_for_nobody() {
        let mut child =
            Child::start("trap '' TERM; echo up; while :; do sleep 1; done", &[]).unwrap();
        wait_for("the trap", || child.output() == "up\n");
        let begun = Instant::now();
        Child::stop_all(&mut [&mut child], Duration::from_secs(60), &|| true);
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert!(!is_running(child.id()));
    }

    #[test]
    fn what_has_ended_and_was_not_collected_is_not_waited_for() {
        // The shell's child outlives it and ends at once when asked; nobody but wring collects it.
        let mut child = Child::start("sleep 600 & echo $!; exit 0", &[]).unwrap();
        wait_for("its id", || child.output().lines().count() == 1);
        wait_for("the shell's end", || child.ended().is_some());
        assert!(child.is_in_background());
        let id: u32 = child.output().trim().parse().unwrap();
        let begun = Instant::now();
        Child::stop_all(&mut [&mut child], Duration::from_secs(60), &|| false);
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        assert!(!is_running(id) && !child.is_in_background());
        assert!(stat_of(id).is_none_or(|stat| stat.parent != std::process::id()), "not collected");
    }

    #[test]
    fn a_plain_command_takes_the_place_of_its_shell() {
        let mut child = Child::start("A=1 sleep 600", &[]).unwrap();
        let comm = format!("/proc/{}/comm", child.id());
        wait_for("sleep", || std::fs::read_to_string(&comm).is_ok_and(|name| name == "sleep\n"));
        assert!(!child.is_in_background() && child.ended().is_none());
    }

    #[test]
    fn exec_is_put_where_a_single_plain_command_begins() {
        for (typed, runs) in [
            ("./a --port 1", "exec ./a --port 1"),
            (
                "  A=1 B='x; y' ./a -g 'daemon off;' \"&\"",
                "  A=1 B='x; y' exec ./a -g 'daemon off;' \"&\"",
            ),
            ("./a 2>&1 >log <in", "exec ./a 2>&1 >log <in"),
            (r"./a\ b \; c", r"exec ./a\ b \; c"),
            ("./a $X ${Y:-1} # and; more", "exec ./a $X ${Y:-1} # and; more"),
            ("a=b/c", "a=b/c"),
            ("./a=b c", "exec ./a=b c"),
        ] {
            assert_eq!(executed(typed), runs);
        }
        for typed in [
            "cd x && ./a",
            "./a; ./b",
            "./a | b",
            "./a &",
            "(./a)",
            "./a $(nproc)",
            "./a `nproc`",
            "./a \"$(nproc)\"",
            "exec ./a",
            "while ./a",
            "{ ./a",
            "! ./a",
            ". ./a",
            "ulimit -n 9",
            "./a <<end",
            "./a\n./b",
            "./a 'open",
            "A=1",
            "",
            " ",
            "trap x TERM",
            "./a \\",
        ] {
            assert_eq!(executed(typed), typed);
        }
    }

    #[test]
    fn a_child_runs_on_the_cpus_it_was_given() {
        let cpu = super::super::allowed_cpus()[0];
        let command = "grep Cpus_allowed_list /proc/self/status";
        let mut child = Child::start(command, &[cpu]).unwrap();
        wait_for("the end", || child.ended().is_some());
        wait_for("the output", || !child.output().is_empty());
        let listed = child.output();
        assert_eq!(listed.split_whitespace().last(), Some(cpu.to_string().as_str()), "{listed}");
    }

    #[test]
    fn much_output_neither_stops_the_child_nor_fills_the_memory() {
        let mut child = Child::start("head -c 300000 /dev/zero; echo end", &[]).unwrap();
        wait_for("the end", || child.ended().is_some());
        wait_for("the last line", || child.output().ends_with("end\n"));
        assert!(child.output().len() <= OUTPUT_BYTES_MAX);
    }

    #[test]
    fn only_who_answers_replies() {
        let port = free_port().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        assert!(!replies(address, b"x", &|| false), "nobody listens");
        let listener = TcpListener::bind(address).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            stream.write_all(&byte).unwrap();
        });
        assert!(replies(address, b"x", &|| false));
        server.join().unwrap();
    }
}
