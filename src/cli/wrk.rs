//! wring under the name `wrk` or `wrk2`: that tool's grammar, defaults and messages.
//!
//! Both read their arguments with `getopt_long`, which takes attached values, flags after the URL,
//! bundled letters and unambiguous beginnings of long names; so does this. What comes after the
//! URL, or after `--`, belonged to the tool's script and is ignored. The idea: a tool is a value, a
//! `Persona`; one reader serves both.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::args::{Cli, RunArgs};
use super::lower::Output;
use crate::limits;
use crate::report::text;
use crate::result::RunResult;
use crate::units::parse_rate;
use clap::Parser;

/// A tool whose place wring takes.
#[derive(Debug)]
pub struct Persona {
    /// The name wring is started under.
    pub name: &'static str,
    /// Its usage, to the letter.
    pub usage: &'static str,
    /// The line of `-v` before whose it is: the tool's version, for scripts that look at it.
    version: &'static str,
    /// Its letters as `getopt` is told them: `:` after a letter that takes a value.
    letters: &'static str,
    /// Its long names and the letter each stands for.
    names: &'static [(&'static str, char)],
    /// Whether a rate must be given.
    paced: bool,
    /// Its text of a finished run.
    pub render: fn(&RunResult, &Output) -> Vec<u8>,
}

/// What both tools say of themselves, with their own options in between.
macro_rules! usage {
    ($options:literal) => {
        concat!(
            "\
Usage: wrk <options> <url>                            
  Options:                                            
    -c, --connections <N>  Connections to keep open   
    -d, --duration    <T>  Duration of test           
    -t, --threads     <N>  Number of threads to use   
                                                      
    -s, --script      <S>  Load Lua script file       
    -H, --header      <H>  Add header to request      
",
            $options,
            "                                                      
  Numeric arguments may include a SI unit (1k, 1M, 1G)
  Time arguments may include a time unit (2s, 2m, 2h)
"
        )
    };
}

/// wrk: as fast as it goes.
pub static WRK: Persona = Persona {
    name: "wrk",
    usage: usage!(
        "        --latency          Print latency statistics   
        --timeout     <T>  Socket/request timeout     
    -v, --version          Print version details      
"
    ),
    version: "wrk 4.1.0 [io_uring]",
    letters: "t:c:d:s:H:T:Lrv?",
    names: &[
        ("connections", 'c'),
        ("duration", 'd'),
        ("threads", 't'),
        ("script", 's'),
        ("header", 'H'),
        ("latency", 'L'),
        ("timeout", 'T'),
        ("help", 'h'),
        ("version", 'v'),
    ],
    paced: false,
    render: |result, output| text::render_wrk(result, output.latency),
};

/// wrk2: at a constant rate.
pub static WRK2: Persona = Persona {
    name: "wrk2",
    usage: usage!(
        "    -L  --latency          Print latency statistics   
    -U  --u_latency        Print uncorrected latency statistics
        --timeout     <T>  Socket/request timeout     
    -B, --batch_latency    Measure latency of whole   
                           batches of pipelined ops   
                           (as opposed to each op)    
    -v, --version          Print version details      
    -R, --rate        <T>  work rate (throughput)     
                           in requests/sec (total)    
                           [Required Parameter]       
                                                      
"
    ),
    version: "wrk 4.0.0 [io_uring]",
    letters: "t:c:d:s:H:T:R:LUBrv?",
    names: &[
        ("connections", 'c'),
        ("duration", 'd'),
        ("threads", 't'),
        ("script", 's'),
        ("header", 'H'),
        ("latency", 'L'),
        ("u_latency", 'U'),
        ("batch_latency", 'B'),
        ("timeout", 'T'),
        ("help", 'h'),
        ("version", 'v'),
        ("rate", 'R'),
    ],
    paced: true,
    render: |result, output| text::render_wrk2(result, output.latency, output.uncorrected),
};

const SECOND_NS: u64 = 1_000_000_000;

/// What is said of wrk2's `-B`, which its report keeps silent about.
const BATCH_LATENCY: &str =
    "-B changes nothing: every request has an intended time of its own, and its latency with it";

/// A run as wrk would do it.
#[derive(Clone, Debug)]
pub struct WrkRun {
    /// The same flags in wring's terms.
    pub args: RunArgs,
    /// The URL.
    pub url: String,
    /// What `-v` adds before the report.
    pub preface: String,
    /// Something for stderr before the load starts.
    pub remark: Option<String>,
}

/// What wrk would print instead of running, with exit code 1.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WrkRefusal {
    /// For stdout.
    pub stdout: String,
    /// For stderr.
    pub stderr: String,
}

#[derive(Default)]
struct Typed {
    connections: Option<u64>,
    threads: Option<u64>,
    duration_ns: Option<u64>,
    timeout_ns: Option<u64>,
    headers: Vec<OsString>,
    rate: Option<u64>,
    latency: bool,
    u_latency: bool,
    batch_latency: bool,
    version: bool,
    words: Vec<String>,
}

impl Persona {
    /// The tool that wring was started as; `None` under its own name.
    pub fn of(program: &str) -> Option<&'static Self> {
        let name = program.rsplit('/').next()?;
        [&WRK, &WRK2].into_iter().find(|persona| persona.name == name)
    }

    /// Reads a command line as the tool does.
    pub fn parse(&self, argv: &[OsString]) -> Result<WrkRun, WrkRefusal> {
        let program =
            argv.first().map_or_else(|| self.name.into(), |program| program.to_string_lossy());
        let mut typed = Typed::default();
        let read = self.read(argv, &mut typed);
        let preface = if typed.version { self.version_line() } else { String::new() };
        let refuse = |message: String| WrkRefusal {
            stdout: format!("{preface}{}", self.usage),
            stderr: if message.is_empty() { message } else { format!("{message}\n") },
        };
        match read.and_then(|()| self.check(typed)) {
            Ok((args, url, remark)) => Ok(WrkRun { args, url, preface, remark }),
            Err(Stop::Usage) => Err(refuse(String::new())),
            Err(Stop::Mistyped(message)) => Err(refuse(format!("{program}: {message}"))),
            Err(Stop::Said(message)) => Err(refuse(message)),
            Err(Stop::Script(script)) => {
                let advice =
                    "Lua scripts are not supported; run wring with -X, -H, -b or -p instead";
                Err(WrkRefusal { stdout: String::new(), stderr: format!("{script}: {advice}\n") })
            }
        }
    }

    /// What was typed, in wring's terms; the tool's own checks in the tool's own order.
    fn check(&self, typed: Typed) -> Result<(RunArgs, String, Option<String>), Stop> {
        let connections = typed.connections.unwrap_or(10);
        let threads = typed.threads.unwrap_or(2);
        let duration_ns = typed.duration_ns.unwrap_or(10_000_000_000);
        let timeout_ns = typed.timeout_ns.unwrap_or(2_000_000_000);
        let url = typed.words.first().cloned().ok_or(Stop::Usage)?;
        if threads == 0 || duration_ns == 0 {
            return Err(Stop::Usage);
        }
        let Ok(target) = super::url::split(&url) else {
            let url = super::redact::url(&url);
            return Err(Stop::Said(format!("invalid URL: {url}")));
        };
        if connections < threads {
            return Err(Stop::Said("number of connections must be >= threads".to_owned()));
        }
        let mut args = defaults();
        // The tool verifies nobody.
        args.tls.insecure = target.is_encrypted;
        if self.paced {
            let rate = typed.rate.filter(|&rate| rate > 0);
            let missing = "Throughput MUST be specified with the --rate or -R option";
            let rate = rate.ok_or_else(|| Stop::Said(missing.to_owned()))?;
            args.rate = Some(parse_rate(&rate.to_string()).map_err(|_| Stop::Usage)?);
        }
        let too_many = connections > u64::from(limits::CONNECTIONS_MAX)
            || threads > u64::from(limits::THREADS_MAX);
        if too_many || timeout_ns == 0 {
            return Err(Stop::Usage);
        }
        args.connections = connections as u32;
        args.threads = Some(threads as u32);
        args.duration = Some(duration_ns);
        args.timeout = timeout_ns;
        let (headers, left_out) = headers(typed.headers);
        args.headers = headers;
        let left_out = left_out.map(|shown| {
            let name = self.name;
            format!("-H '{shown}' is left out, as {name} leaves it out; it sends 'Name: value'")
        });
        args.latency = typed.latency;
        args.u_latency = typed.u_latency;
        args.quiet = true;
        let remark = typed.batch_latency.then(|| BATCH_LATENCY.to_owned()).or(left_out);
        Ok((args, url, remark))
    }

    /// What `getopt_long` does, in its words.
    fn read(&self, argv: &[OsString], typed: &mut Typed) -> Result<(), Stop> {
        let word = |argument: &OsString| argument.to_string_lossy().into_owned();
        let mut rest = argv.iter().skip(1);
        while let Some(argument) = rest.next() {
            let bytes = argument.as_bytes();
            if bytes == b"--" {
                typed.words.extend(rest.map(word));
                return Ok(());
            }
            if let Some(long) = bytes.strip_prefix(b"--") {
                self.read_name(long, &mut rest, typed)?;
                continue;
            }
            match bytes.strip_prefix(b"-") {
                None | Some(b"") => typed.words.push(word(argument)),
                Some(letters) => self.read_letters(letters, &mut rest, typed)?,
            }
        }
        Ok(())
    }

    /// One word after two dashes; its value may be attached with `=` or follow.
    fn read_name<'a>(
        &self,
        word: &[u8],
        rest: &mut impl Iterator<Item = &'a OsString>,
        typed: &mut Typed,
    ) -> Result<(), Stop> {
        let (name, attached) = match word.iter().position(|&byte| byte == b'=') {
            Some(at) => (&word[..at], Some(OsStr::from_bytes(&word[at + 1..]).to_owned())),
            None => (word, None),
        };
        let shown = String::from_utf8_lossy;
        let (full, letter) = self.named(&shown(name), &shown(word))?;
        let mistyped = |what| Stop::Mistyped(format!("option '--{full}' {what} an argument"));
        let value = match (self.takes_value(letter), attached) {
            (Some(true), None) => rest.next().cloned().ok_or_else(|| mistyped("requires"))?,
            (Some(true), Some(value)) => value,
            (_, Some(_)) => return Err(mistyped("doesn't allow")),
            (_, None) => OsString::new(),
        };
        apply(letter, value, typed)
    }

    /// One word of bundled letters; the value of the last may be attached or follow.
    fn read_letters<'a>(
        &self,
        letters: &[u8],
        rest: &mut impl Iterator<Item = &'a OsString>,
        typed: &mut Typed,
    ) -> Result<(), Stop> {
        for (at, letter) in letters.iter().copied().map(char::from).enumerate() {
            match self.takes_value(letter) {
                None => {
                    let shown = letter.escape_debug();
                    return Err(Stop::Mistyped(format!("invalid option -- '{shown}'")));
                }
                Some(false) => apply(letter, OsString::new(), typed)?,
                Some(true) => {
                    let attached = OsStr::from_bytes(&letters[at + 1..]);
                    let next = if attached.is_empty() {
                        rest.next().map(OsString::as_os_str)
                    } else {
                        Some(attached)
                    };
                    let value = next.ok_or_else(|| {
                        Stop::Mistyped(format!("option requires an argument -- '{letter}'"))
                    })?;
                    return apply(letter, value.to_owned(), typed);
                }
            }
        }
        Ok(())
    }

    /// Whether a letter takes a value; `None` when it is no flag.
    fn takes_value(&self, letter: char) -> Option<bool> {
        let (_, after) = self.letters.split_once(letter).filter(|_| letter != ':')?;
        Some(after.starts_with(':'))
    }

    /// The long name that `name` is or begins, and its letter.
    fn named(&self, name: &str, word: &str) -> Result<(&'static str, char), Stop> {
        if let Some(exact) = self.names.iter().find(|(full, _)| *full == name) {
            return Ok(*exact);
        }
        let like: Vec<_> = self.names.iter().filter(|(full, _)| full.starts_with(name)).collect();
        let word = word.escape_debug();
        match like[..] {
            [one] => Ok(*one),
            [] => Err(Stop::Mistyped(format!("unrecognized option '--{word}'"))),
            _ => {
                let list: String = like.iter().map(|(full, _)| format!(" '--{full}'")).collect();
                let message = format!("option '--{word}' is ambiguous; possibilities:{list}");
                Err(Stop::Mistyped(message))
            }
        }
    }

    /// The line of `-v`: the tool's, and whose it is.
    fn version_line(&self) -> String {
        format!("{} wring {}\n", self.version, env!("CARGO_PKG_VERSION"))
    }
}

/// Why the tool would print its usage instead of running.
enum Stop {
    /// Without a word.
    Usage,
    /// `getopt`'s complaint, which it signs with the program's name.
    Mistyped(String),
    /// The tool's own.
    Said(String),
    /// A script was given.
    Script(String),
}

fn apply(letter: char, value: OsString, typed: &mut Typed) -> Result<(), Stop> {
    let text = value.to_string_lossy();
    let count = || scan(&text, "", 1000, &["k", "M", "G", "T", "P"]).ok_or(Stop::Usage);
    let time = || {
        let seconds = scan(&text, "s", 60, &["m", "h"]).ok_or(Stop::Usage)?;
        let ns = seconds.checked_mul(SECOND_NS).filter(|&ns| ns <= limits::DURATION_NS_MAX);
        ns.ok_or(Stop::Usage)
    };
    match letter {
        'c' => typed.connections = Some(count()?),
        't' => typed.threads = Some(count()?),
        'd' => typed.duration_ns = Some(time()?),
        'T' => typed.timeout_ns = Some(time()?),
        'R' => typed.rate = Some(count()?),
        'H' => typed.headers.push(value),
        'L' => typed.latency = true,
        'U' => (typed.latency, typed.u_latency) = (true, true),
        'B' => typed.batch_latency = true,
        'v' => typed.version = true,
        's' => return Err(Stop::Script(text.into_owned())),
        _ => return Err(Stop::Usage),
    }
    Ok(())
}

/// A number as both tools scan it, with `sscanf(text, "%lu%2s")`: whole, blanks allowed before it and
/// before its unit, of which two letters are looked at. Each of `units` is `step` times the one before.
fn scan(text: &str, base: &str, step: u64, units: &[&str]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let digits = text.strip_prefix('+').unwrap_or(text);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let number: u64 = digits[..end].parse().ok()?;
    let rest = digits[end..].trim_ascii_start();
    let unit: String = rest.chars().take_while(|c| !c.is_ascii_whitespace()).take(2).collect();
    if unit.is_empty() || unit.eq_ignore_ascii_case(base) {
        return Some(number);
    }
    let at = units.iter().position(|known| unit.eq_ignore_ascii_case(known))?;
    number.checked_mul(step.checked_pow(at as u32 + 1)?)
}

/// The headers that the tools would send, and one that they leave out without a word, to be shown:
/// only a colon with a blank behind it makes a header, a name has one value, the last, and
/// Content-Length is theirs.
fn headers(typed: Vec<OsString>) -> (Vec<OsString>, Option<String>) {
    let (mut sent, mut left_out): (Vec<OsString>, _) = (Vec::new(), None);
    let name = |header: &OsString| {
        let bytes = header.as_bytes();
        let colon = bytes.iter().position(|&byte| byte == b':')?;
        (bytes.get(colon + 1) == Some(&b' ')).then(|| bytes[..colon].to_vec())
    };
    for header in typed {
        match name(&header) {
            Some(own) if own != b"Content-Length" => {
                sent.retain(|other| name(other).as_ref() != Some(&own));
                sent.push(header);
            }
            _ => left_out = Some(header),
        }
    }
    let shown = |header: OsString| {
        super::redact::text(&header.to_string_lossy()).escape_debug().to_string()
    };
    (sent, left_out.map(shown))
}

/// wring's own defaults, from the one definition of its flags.
fn defaults() -> RunArgs {
    Cli::parse_from(["wring"]).run
}
