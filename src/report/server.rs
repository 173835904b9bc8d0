//! What a request cost the target: text, and to and from the file schema.

use crate::plan::ServerOf;
use crate::result::{RunResult, ServerCost};
use crate::units::{format_bytes, format_duration_ns, format_grouped};

use super::page::Page;
use super::stored::ReadError;
use super::{NOTE_CHARS_MAX, escape, schema};

/// The section; nothing when nobody was watched.
pub(super) fn section(result: &RunResult, page: &mut Page) {
    let Some(cost) = &result.server else { return };
    page.heading("Server cost in the window");
    let of = match &cost.of {
        ServerOf::Process(pid) => format!("process {pid}"),
        ServerOf::Group(folder) => format!("group {}", escape(folder, NOTE_CHARS_MAX)),
    };
    page.line(&format!("{of}: {}", members(cost)));
    match cost.cpu_ns_per_request() {
        Some(ns) => page.line(&format!(
            "CPU time: {} per request, {} in all, {:.2} CPUs busy",
            per_request(ns),
            format_duration_ns(cost.cpu_ns),
            cost.cpus()
        )),
        None => page.line(&format!(
            "CPU time: {} in all; no request was completed to divide it by",
            format_duration_ns(cost.cpu_ns)
        )),
    }
    page.line(&format!("memory: {} resident at its end", format_bytes(cost.resident_bytes)));
    let switches = |count| {
        let each = cost.per_request(count).map(|each| format!(" ({each:.3} per request)"));
        format!("{}{}", format_grouped(count), each.unwrap_or_default())
    };
    page.line(&format!(
        "context switches: {} to wait, {} forced",
        switches(cost.switches_voluntary),
        switches(cost.switches_forced)
    ));
    if cost.lost_a_process {
        page.line("a process ended meanwhile and nobody waited for it: its CPU time is missing");
    }
}

/// CPU time of one request: with digits enough for the share of a nanosecond to be no matter.
pub(super) fn per_request(ns: f64) -> String {
    format!("{:.2} µs", ns / 1000.0)
}

fn members(cost: &ServerCost) -> String {
    let plural = |count: u32, one: &str, many: &str| {
        format!("{count} {}", if count == 1 { one } else { many })
    };
    let processes = plural(cost.processes, "process", "processes");
    format!("{processes} with {} at the window's end", plural(cost.threads, "thread", "threads"))
}

pub(super) fn to_schema(cost: &ServerCost) -> schema::server::ServerCost {
    let (pid, cgroup) = match &cost.of {
        ServerOf::Process(pid) => (Some(*pid), None),
        ServerOf::Group(folder) => (None, Some(folder.clone())),
    };
    schema::server::ServerCost {
        pid,
        cgroup,
        length_ns: cost.length_ns,
        requests: cost.requests,
        cpu_ns: cost.cpu_ns,
        cpu_ns_per_request: cost.cpu_ns_per_request(),
        cpus: cost.cpus(),
        resident_bytes: cost.resident_bytes,
        switches_voluntary: cost.switches_voluntary,
        switches_forced: cost.switches_forced,
        processes: cost.processes,
        threads: cost.threads,
        lost_a_process: cost.lost_a_process,
    }
}

/// `amount_max` and `count_max` are the largest numbers that no renderer has to fear.
pub(super) fn from_schema(
    stored: schema::server::ServerCost,
    amount_max: u64,
    count_max: u64,
) -> Result<ServerCost, ReadError> {
    let of = match (stored.pid, stored.cgroup) {
        (Some(pid), None) => ServerOf::Process(pid),
        (None, Some(folder)) => ServerOf::Group(folder),
        _ => return Err(ReadError::NotAResult("server cost of nobody".to_owned())),
    };
    let amounts = [stored.length_ns, stored.cpu_ns, stored.resident_bytes];
    let counts = [stored.requests, stored.switches_voluntary, stored.switches_forced];
    if amounts.iter().any(|&v| v > amount_max) || counts.iter().any(|&v| v > count_max) {
        return Err(ReadError::Implausible("server cost"));
    }
    Ok(ServerCost {
        of,
        length_ns: stored.length_ns,
        requests: stored.requests,
        cpu_ns: stored.cpu_ns,
        resident_bytes: stored.resident_bytes,
        switches_voluntary: stored.switches_voluntary,
        switches_forced: stored.switches_forced,
        processes: stored.processes,
        threads: stored.threads,
        lost_a_process: stored.lost_a_process,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::text::{self, TextOptions};
    use crate::report::{json, samples, stored};

    fn watched() -> RunResult {
        let mut result = samples::calm();
        result.server = Some(ServerCost {
            of: ServerOf::Process(42),
            length_ns: 2_000_000_000,
            requests: 4_000,
            cpu_ns: 1_000_000_000,
            resident_bytes: 12 << 20,
            switches_voluntary: 6_000,
            switches_forced: 12,
            processes: 3,
            threads: 9,
            lost_a_process: false,
        });
        result
    }

    #[test]
    fn the_section_tells_cost_memory_and_switches() {
        let mut result = watched();
        let text = |result: &RunResult| {
            String::from_utf8(text::render(result, &TextOptions::default())).unwrap()
        };
        let expected = "
Server cost in the window
  process 42: 3 processes with 9 threads at the window's end
  CPU time: 250.00 µs per request, 1.00 s in all, 0.50 CPUs busy
  memory: 12.0 MiB resident at its end
  context switches: 6,000 (1.500 per request) to wait, 12 (0.003 per request) forced
";
        assert!(text(&result).contains(expected), "{}", text(&result));
        let cost = result.server.as_mut().unwrap();
        cost.requests = 0;
        cost.of = ServerOf::Group("/sys/fs/cgroup/\u{1b}x".to_owned());
        cost.lost_a_process = true;
        let shown = text(&result);
        assert!(shown.contains("no request was completed to divide it by"), "{shown}");
        assert!(shown.contains("its CPU time is missing") && !shown.contains('\u{1b}'), "{shown}");
        assert!(!text(&samples::calm()).contains("Server cost"));
    }

    #[test]
    fn json_has_the_cost_and_a_stored_result_keeps_it() {
        let result = watched();
        let json: serde_json::Value = serde_json::from_slice(&json::render(&result)).unwrap();
        assert_eq!(json["server"]["pid"], 42);
        assert_eq!(json["server"]["cpu_ns_per_request"], 250_000.0);
        let bytes = stored::write(&result);
        assert_eq!(stored::read(&bytes).as_ref(), Ok(&result));
        let text = String::from_utf8(bytes).unwrap();
        for (from, to) in
            [("\"pid\":42", "\"pid\":null"), ("\"requests\":4000", "\"requests\":9e18")]
        {
            assert!(text.contains(from), "{text}");
            assert!(stored::read(text.replacen(from, to, 1).as_bytes()).is_err(), "{from}");
        }
    }
}
