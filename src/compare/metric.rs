//! What is compared, and on which scale differences are taken.

/// A number that each block has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Metric {
    /// Requests completed per second.
    RequestsPerS,
    /// Median latency; on a schedule from the intended time.
    P50,
    /// 90th percentile.
    P90,
    /// 99th percentile.
    P99,
    /// 99.9th percentile.
    P999,
    /// Share of the due requests that were not answered.
    Failed,
    /// CPU time of the server for each request.
    ServerCpu,
}

impl Metric {
    /// All, in the order of reports.
    pub const ALL: [Self; 7] = [
        Self::RequestsPerS,
        Self::P50,
        Self::P90,
        Self::P99,
        Self::P999,
        Self::Failed,
        Self::ServerCpu,
    ];

    /// As in the text.
    pub fn name(self) -> &'static str {
        match self {
            Self::RequestsPerS => "requests/sec",
            Self::P50 => "latency p50",
            Self::P90 => "latency p90",
            Self::P99 => "latency p99",
            Self::P999 => "latency p99.9",
            Self::Failed => "failed",
            Self::ServerCpu => "server CPU/request",
        }
    }

    /// As in JSON: with the unit.
    pub fn key(self) -> &'static str {
        match self {
            Self::RequestsPerS => "requests_per_s",
            Self::P50 => "p50_ns",
            Self::P90 => "p90_ns",
            Self::P99 => "p99_ns",
            Self::P999 => "p999_ns",
            Self::Failed => "failed_share",
            Self::ServerCpu => "server_cpu_ns_per_request",
        }
    }

    /// Whether larger is better.
    pub fn more_is_better(self) -> bool {
        self == Self::RequestsPerS
    }

    /// Whether it is a share, which may be 0: shares are compared by their plain difference, all
    /// others by their ratio.
    pub fn is_share(self) -> bool {
        self == Self::Failed
    }

    /// The share of the requests that lie below it, if it is a percentile.
    pub(super) fn percentile(self) -> Option<f64> {
        match self {
            Self::P50 => Some(0.5),
            Self::P90 => Some(0.9),
            Self::P99 => Some(0.99),
            Self::P999 => Some(0.999),
            Self::RequestsPerS | Self::Failed | Self::ServerCpu => None,
        }
    }

    /// A value on the scale that differences are taken on: its logarithm, unless it is a share.
    pub fn inward(self, value: f64) -> Option<f64> {
        if self.is_share() { Some(value) } else { (value > 0.0).then(|| value.ln()) }
    }

    /// A difference on that scale as a relative difference; of shares itself, which no difference of
    /// two shares goes beyond.
    pub(super) fn outward(self, difference: f64) -> f64 {
        if self.is_share() { difference.clamp(-1.0, 1.0) } else { difference.exp_m1() }
    }

    /// A mean on that scale as a value.
    pub(super) fn level(self, mean: f64) -> f64 {
        if self.is_share() { mean } else { mean.exp() }
    }
}
