//! Programs that wring starts: in a group of their own, on CPUs of choice, stopped whatever happens.
//!
//! The idea: a shell's command line may start any number of processes; all of them are in one process
//! group, and the group is what gets the signals. Whoever drops a `Child` has stopped it.
#![expect(unsafe_code, reason = "the standard library neither pins a child nor signals a group")]

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{block_signals_in_this_thread, check};

/// How much of what a child prints is kept, in bytes: the end of it.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;
/// How long a child may take to end when asked to, before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(3);
const STOP_LOOK: Duration = Duration::from_millis(2);
/// How long one attempt to get a reply may take.
const REPLY_PATIENCE: Duration = Duration::from_millis(500);
/// How much of one is looked at.
const REPLY_BYTES_MAX: usize = 512;

/// A command line that runs, with everything that it started.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    output: Arc<Mutex<VecDeque<u8>>>,
    ended: Option<ExitStatus>,
    is_stopped: bool,
}

impl Child {
    /// Starts `command` by a shell, on `cpus` if any are named. It does not outlive the calling
    /// thread by much: it is asked to end when that ends, however it ends.
    pub fn start(command: &str, cpus: &[u32]) -> io::Result<Self> {
        let (mut reader, writer) = io::pipe()?;
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(command).stdin(Stdio::null());
        shell.stdout(writer.try_clone()?).stderr(writer).process_group(0);
        let set = cpu_set(cpus);
        let is_pinned = !cpus.is_empty();
        let prepare = move || {
            // SAFETY: the call takes no pointers, and is allowed between fork and exec.
            check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) })?;
            if is_pinned {
                let bytes = size_of::<libc::cpu_set_t>();
                // SAFETY: `set` is a valid CPU set of that size during the call.
                check(unsafe { libc::sched_setaffinity(0, bytes, &raw const set) })?;
            }
            Ok(())
        };
        // SAFETY: the closure makes two system calls and allocates nothing.
        unsafe { shell.pre_exec(prepare) };
        let process = shell.spawn()?;
        // The command holds our copies of the pipe's end, without which it would never close.
        drop(shell);
        let output = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&output);
        // Ends with the last process that holds the pipe; nobody waits for it.
        thread::Builder::new().name("wring-output".to_owned()).spawn(move || {
            block_signals_in_this_thread();
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut piece) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(&piece[..count]);
                let surplus = kept.len().saturating_sub(OUTPUT_BYTES_MAX);
                kept.drain(..surplus);
            }
        })?;
        Ok(Self { process, output, ended: None, is_stopped: false })
    }

    /// The process id of the shell, which leads the group.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// How it ended, if it has: `exit status: 1`, `signal: 9 (SIGKILL)`.
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

    /// The end of what it and its children have printed, on both streams.
    pub fn output(&self) -> String {
        let kept = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Asks the group to end, and kills what is left of it after a while. Returns when it is gone.
    pub fn stop(&mut self) {
        self.stop_within(STOP_PATIENCE);
    }

    /// The same with so much patience for whom the request does not end.
    fn stop_within(&mut self, patience: Duration) {
        if self.is_stopped {
            return;
        }
        self.is_stopped = true;
        self.signal(libc::SIGTERM);
        let deadline = Instant::now() + patience;
        while self.is_alive() && Instant::now() < deadline {
            thread::sleep(STOP_LOOK);
        }
        self.signal(libc::SIGKILL);
        let _ = self.process.wait();
        // Those of its children that were left are init's to collect; dead they hold no port.
        while self.is_alive() && Instant::now() < deadline + STOP_PATIENCE {
            thread::sleep(STOP_LOOK);
        }
    }

    /// Whether any process of the group is left.
    fn is_alive(&mut self) -> bool {
        // Collects the leader, so that it does not count as one of the group any more.
        self.ended().is_none() || self.signal(0)
    }

    /// Sends the signal to the group; false when there is none any more.
    fn signal(&self, signal: libc::c_int) -> bool {
        let group = self.process.id().cast_signed();
        // SAFETY: the call takes no pointers.
        unsafe { libc::kill(-group, signal) == 0 }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stop();
    }
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

/// Whether anything comes back from `address` when it is sent `bytes`.
pub fn replies(address: SocketAddr, bytes: &[u8]) -> bool {
    !reply(address, bytes).is_empty()
}

/// The first bytes of what is sent back by whoever listens there when sent `bytes`; none where that
/// takes too long, or nobody does.
pub fn reply(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let read = || -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&address, REPLY_PATIENCE)?;
        stream.set_read_timeout(Some(REPLY_PATIENCE))?;
        stream.set_write_timeout(Some(REPLY_PATIENCE))?;
        stream.write_all(bytes)?;
        let mut reply = vec![0; REPLY_BYTES_MAX];
        let count = stream.read(&mut reply)?;
        reply.truncate(count);
        Ok(reply)
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
        child.stop_within(Duration::from_millis(300));
        for id in ids {
            assert!(!is_running(id), "{id} is left");
        }
        assert!(!is_running(child.id()));
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
        assert!(!replies(address, b"x"), "nobody listens");
        let listener = TcpListener::bind(address).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            stream.write_all(&byte).unwrap();
        });
        assert!(replies(address, b"x"));
        server.join().unwrap();
    }
}
