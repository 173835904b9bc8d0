//! Whether stored results can be compared at all.

use crate::result::RunResult;

/// What differs between two results that should differ in the target alone: each difference in one
/// line that names both values. Empty when they are alike.
pub fn unlike(a: &RunResult, b: &RunResult) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, a: String, b: String| {
        if a != b {
            found.push(format!("{what}: {a} and {b}"));
        }
    };
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
    compare("kernel", known(&a.manifest.kernel), known(&b.manifest.kernel));
    compare("CPU", known(&a.manifest.cpu_model), known(&b.manifest.cpu_model));
    compare("engine", engine(a), engine(b));
    compare("threads", a.asked.threads.to_string(), b.asked.threads.to_string());
    compare("connections", a.asked.connections.to_string(), b.asked.connections.to_string());
    let each = |result: &RunResult| match result.asked.requests_per_connection {
        Some(requests) => requests.to_string(),
        None => "without end".to_owned(),
    };
    compare("requests per connection", each(a), each(b));
    compare("TLS", tls(a), tls(b));
    compare("pipeline depth", a.asked.depth.to_string(), b.asked.depth.to_string());
    let schedule = |result: &RunResult| match &result.asked.schedule {
        Some(schedule) => format!("{} {}", schedule.profile, schedule.arrivals),
        None => "as fast as it goes".to_owned(),
    };
    compare("rate", schedule(a), schedule(b));
    if a.asked.request_hash != b.asked.request_hash && !differs_by_host_alone(a, b) {
        let request = |result: &RunResult| {
            let asked = &result.asked;
            format!("{} bytes (hash {:016x})", asked.request_bytes, asked.request_hash)
        };
        compare("request", request(a), request(b));
    }
    found
}

/// The backend without its features, which depend on the kernel.
fn engine(result: &RunResult) -> String {
    result.manifest.backend.split(' ').next().unwrap_or_default().to_owned()
}

fn tls(result: &RunResult) -> String {
    match &result.total.tls {
        None => "none".to_owned(),
        Some(tls) => match &tls.facts {
            Some(facts) => format!("{} {}", facts.version, facts.cipher),
            None => "without a handshake".to_owned(),
        },
    }
}

/// Two builds on two ports are sent requests that differ in the Host field. Only lengths and hashes
/// are stored, so this is as much as can be told: the same path, and the same length but for the
/// host's.
fn differs_by_host_alone(a: &RunResult, b: &RunResult) -> bool {
    let parts = |result: &RunResult| -> Option<(String, String)> {
        let (_, rest) = result.asked.url.split_once("://")?;
        let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        Some((host.to_owned(), if path.is_empty() { "/".to_owned() } else { path.to_owned() }))
    };
    let (Some((host_a, path_a)), Some((host_b, path_b))) = (parts(a), parts(b)) else {
        return false;
    };
    let rest =
        |result: &RunResult, host: &str| result.asked.request_bytes.checked_sub(host.len() as u64);
    host_a != host_b && path_a == path_b && rest(a, &host_a) == rest(b, &host_b)
}
