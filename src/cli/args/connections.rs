//! Flags on how connections are made, and when they end.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use super::{rate, within_u32};
use crate::units::Rate;

/// How connections are made, as typed. Of what may hold a secret all is kept, though the last one
/// counts, so that none of it is shown.
#[derive(Clone, Debug, Args)]
pub struct ConnectionArgs {
    /// One request on each connection; says so to the server with 'Connection: close'
    #[arg(long, help_heading = "Connections", hide_short_help = true)]
    pub no_keepalive: bool,
    /// Close a connection after N answers and open another; adds nothing to the requests
    #[arg(long, value_name = "N", value_parser = requests_per_connection)]
    #[arg(allow_hyphen_values = true, hide_short_help = true, help_heading = "Connections")]
    pub requests_per_connection: Option<u32>,
    /// How to close a connection that has carried its requests: reset (leaves no port in
    /// TIME_WAIT) or orderly [default: reset]
    #[arg(long, value_name = "HOW", hide_possible_values = true, hide_short_help = true)]
    #[arg(help_heading = "Connections")]
    pub close: Option<CloseChoice>,
    /// Open at most this many connections a second, over all threads: 1k, 300/m
    #[arg(long, value_name = "RATE", value_parser = rate, hide_short_help = true)]
    #[arg(allow_hyphen_values = true, help_heading = "Connections")]
    pub connect_rate: Option<Rate>,
    /// Connect to this socket file; the URL still makes the request
    #[arg(long, value_name = "PATH", help_heading = "Connections", hide_short_help = true)]
    pub unix_socket: Option<PathBuf>,
    /// Connect there instead of to the URL's host and port; the request stays the same
    #[arg(long, value_name = "HOST:PORT", hide_short_help = true)]
    #[arg(help_heading = "Connections")]
    pub connect_to: Option<String>,
    /// Use these addresses for a name, `HOST:PORT:ADDR[,ADDR]`, or for all, `*:PORT:ADDR`; may be
    /// repeated
    #[arg(long, value_name = "HOST:PORT:ADDR", action = ArgAction::Append)]
    #[arg(hide_short_help = true, help_heading = "Connections")]
    pub resolve: Vec<String>,
    /// Use a name's IPv4 addresses only
    #[arg(short = '4', long, hide_short_help = true, help_heading = "Connections")]
    pub ipv4: bool,
    /// Use a name's IPv6 addresses only
    #[arg(short = '6', long, hide_short_help = true, help_heading = "Connections")]
    pub ipv6: bool,
    /// Connect from these addresses of this machine in turn, such as 10.0.0.5,10.0.1.0/28: each has
    /// some 28,000 ports for one target
    #[arg(long, value_name = "LIST", hide_short_help = true, help_heading = "Connections")]
    #[arg(allow_hyphen_values = true)]
    pub source_ip: Option<String>,
    /// Send the requests through this proxy, `http://[user:password@]host:port`
    ///
    /// A plain '/', '?' or '#' in the user part is written %2F, %3F or %23. -H Proxy-Authorization is
    /// for the proxy too: through a tunnel the target does not see it.
    #[arg(long, value_name = "URL", hide_short_help = true, help_heading = "Connections")]
    #[arg(action = ArgAction::Append)]
    pub proxy: Vec<String>,
    /// Reach http targets through a tunnel of the proxy too (CONNECT), as https ones always are
    #[arg(long, hide_short_help = true, help_heading = "Connections")]
    pub proxy_tunnel: bool,
    /// Begin every connection with a PROXY protocol header: v1 or v2
    #[arg(long, value_name = "VERSION", hide_possible_values = true, hide_short_help = true)]
    #[arg(help_heading = "Connections")]
    pub proxy_protocol: Option<ProxyProtocolChoice>,
    /// Send 'Authorization: Basic' for this user, name:password; @FILE reads it from FILE
    #[arg(short, long, value_name = "USER", hide_short_help = true, help_heading = "Request")]
    #[arg(allow_hyphen_values = true, action = ArgAction::Append)]
    pub user: Vec<String>,
}

/// How wring closes a connection that has carried its requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum CloseChoice {
    /// With an RST.
    Reset,
    /// With a FIN.
    Orderly,
}

/// Form of the PROXY protocol header.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ProxyProtocolChoice {
    /// Text.
    V1,
    /// Binary.
    V2,
}

fn requests_per_connection(text: &str) -> Result<u32, String> {
    within_u32(text, u32::MAX)
}
