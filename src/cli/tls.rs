//! From TLS's flags to a configuration: files read, names checked.

use std::path::Path;

use super::args::{TlsArgs, TlsVersion};
use super::error::CliError;
use super::files::{read_limited, shown};
use crate::plan;
use crate::tls::{
    Cipher, Group, Options, Settings, SettingsError, Trust, Version, certificates_from_pem,
    identity_from_pem,
};

/// Largest file of certificates or keys read, in bytes; the system's roots take a quarter of one.
const PEM_BYTES_MAX: u64 = 16 << 20;
/// Longest name of an application protocol (RFC 7301 section 3.1).
const ALPN_BYTES_MAX: usize = 255;

/// TLS for servers on these hosts, `None` standing for one without it; `None` when that is all of
/// them, which these flags do not fit.
pub(super) fn lower(args: &TlsArgs, hosts: &[Option<&str>]) -> Result<Option<plan::Tls>, CliError> {
    // A scope has a meaning on this machine alone.
    let name = |host: &'_ &str| match &args.sni {
        Some(name) => name.clone(),
        None => host.split('%').next().unwrap_or(host).to_owned(),
    };
    let names: Vec<Option<String>> = hosts.iter().map(|host| host.as_ref().map(name)).collect();
    let Some(first) = names.iter().flatten().next() else {
        return match given(args) {
            None => Ok(None),
            Some(flag) => {
                Err(CliError::usage(format!("{flag} is about TLS, and the URL is http://"))
                    .hint("write https://, or leave the flag out"))
            }
        };
    };
    let options = Options {
        server_name: first.clone(),
        trust: trust(args)?,
        identity: identity(args)?,
        alpn: alpn(args.alpn.as_deref())?,
        version: args.tls_version.map(|version| match version {
            TlsVersion::V12 => Version::Tls12,
            TlsVersion::V13 => Version::Tls13,
        }),
        ciphers: list("--ciphers", args.ciphers.as_deref(), Cipher::parse, || {
            Cipher::names().collect::<Vec<_>>().join(", ")
        })?,
        groups: list("--groups", args.groups.as_deref(), Group::parse, || {
            Group::names().collect::<Vec<_>>().join(", ")
        })?,
        resumes: !args.no_resumption,
    };
    let by_server: Vec<Option<&str>> = names.iter().map(Option::as_deref).collect();
    let made = Settings::new(options).and_then(|settings| settings.for_servers(&by_server));
    let settings = made.map_err(|error| {
        let flag = match &error {
            SettingsError::Name(_) if args.sni.is_some() => "--sni: ".to_owned(),
            SettingsError::Name(_) => "the URL's host: ".to_owned(),
            SettingsError::Certificate(_) if args.cacert.is_some() => {
                named("--cacert", &args.cacert)
            }
            SettingsError::Certificate(_) => named("--cert", &args.cert),
            SettingsError::Key(_) | SettingsError::KeyMismatch if args.key.is_some() => {
                named("--key", &args.key)
            }
            SettingsError::Key(_) | SettingsError::KeyMismatch => named("--cert", &args.cert),
            SettingsError::NothingToOffer(_) => String::new(),
        };
        CliError::usage(format!("{flag}{error}"))
    })?;
    Ok(Some(plan::Tls { settings, names_roots: args.cacert.is_some() }))
}

fn named(flag: &str, path: &Option<std::path::PathBuf>) -> String {
    let path = shown(path.as_deref().unwrap_or_else(|| Path::new("")));
    format!("{flag} '{path}': ")
}

/// The first flag given that has no meaning without TLS. `-k` has: it asks for nothing.
fn given(args: &TlsArgs) -> Option<&'static str> {
    let flags = [
        ("--cacert", args.cacert.is_some()),
        ("--cert", args.cert.is_some()),
        ("--key", args.key.is_some()),
        ("--sni", args.sni.is_some()),
        ("--alpn", args.alpn.is_some()),
        ("--tls-version", args.tls_version.is_some()),
        ("--ciphers", args.ciphers.is_some()),
        ("--groups", args.groups.is_some()),
        ("--no-resumption", args.no_resumption),
    ];
    flags.iter().find(|(_, is_given)| *is_given).map(|(flag, _)| *flag)
}

fn read(flag: &str, path: &Path) -> Result<Vec<u8>, CliError> {
    read_limited(path, PEM_BYTES_MAX)
        .map_err(|error| CliError::usage(format!("{flag}: cannot read '{}': {error}", shown(path))))
}

fn trust(args: &TlsArgs) -> Result<Trust, CliError> {
    match (&args.cacert, args.insecure) {
        (Some(_), true) => Err(CliError::usage(
            "-k and --cacert contradict each other: -k trusts anybody; give one of them",
        )),
        (None, true) => Ok(Trust::Anybody),
        (Some(path), false) => {
            let roots = certificates_from_pem(&read("--cacert", path)?);
            roots.map(Trust::Roots).map_err(|error| {
                CliError::usage(format!("--cacert '{}': {error}", shown(path)))
                    .hint("a PEM file with the certificate of the issuer, or the server's own")
            })
        }
        (None, false) => {
            let found = rustls_native_certs::load_native_certs();
            let roots: Vec<Vec<u8>> = found.certs.iter().map(|root| root.to_vec()).collect();
            if roots.is_empty() {
                let why = found
                    .errors
                    .first()
                    .map_or_else(|| "no file of them was found".to_owned(), ToString::to_string);
                return Err(CliError::usage(format!(
                    "this machine has no root certificates, so no server can be verified: {why}"
                ))
                .hint("install ca-certificates, name one with --cacert, or accept any with -k"));
            }
            Ok(Trust::Roots(roots))
        }
    }
}

fn identity(args: &TlsArgs) -> Result<Option<crate::tls::Identity>, CliError> {
    let Some(cert) = &args.cert else {
        return match args.key {
            None => Ok(None),
            Some(_) => Err(CliError::usage("--key needs --cert: a key alone proves nothing")),
        };
    };
    let key = args.key.as_ref().unwrap_or(cert);
    let key_flag = if args.key.is_some() { "--key" } else { "--cert" };
    let (chain, key_bytes) = (read("--cert", cert)?, read(key_flag, key)?);
    identity_from_pem(&chain, &key_bytes).map(Some).map_err(|error| {
        let (flag, path) = match &error {
            SettingsError::Key(_) => (key_flag, key),
            _ => ("--cert", cert),
        };
        CliError::usage(format!("{flag} '{}': {error}", shown(path)))
            .hint("both are PEM; openssl pkey -in KEY -out PLAIN takes a key's password away")
    })
}

fn alpn(typed: Option<&str>) -> Result<Vec<String>, CliError> {
    let typed = match typed {
        None => return Ok(vec!["http/1.1".to_owned()]),
        Some("none") => return Ok(Vec::new()),
        Some(typed) => typed,
    };
    let names: Vec<String> = typed.split(',').map(|name| name.trim().to_owned()).collect();
    let is_name = |name: &String| (1..=ALPN_BYTES_MAX).contains(&name.len());
    if !names.iter().all(is_name) {
        let shown = typed.escape_debug();
        return Err(CliError::usage(format!(
            "--alpn: '{shown}' is not a list of protocols; write --alpn http/1.1, or none"
        )));
    }
    Ok(names)
}

/// The values of a list, each by its name.
fn list<T>(
    flag: &str,
    typed: Option<&str>,
    parse: fn(&str) -> Option<T>,
    known: impl Fn() -> String,
) -> Result<Vec<T>, CliError> {
    let names = typed.into_iter().flat_map(|typed| typed.split([',', ':'])).map(str::trim);
    names
        .map(|name| {
            parse(name).ok_or_else(|| {
                let shown = name.escape_debug();
                CliError::usage(format!("{flag}: '{shown}' is unknown"))
                    .hint(format!("known are {}", known()))
            })
        })
        .collect()
}
