//! The addresses that need no proxy: those in `no_proxy`, and those of this machine.

use std::net::IpAddr;

/// The list in `no_proxy`, separated by commas or spaces.
///
/// An entry is `*`, a domain (`example.org` and `.example.org` include all subdomains), the start or the end of a name
/// (`192.168.*`, `*.example.org`), an address, or a range of addresses (`10.0.0.0/8`). A name or address with a port covers
/// that port only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct NoProxy {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    All,
    Range(IpAddr, u32),
    StartsWith(String),
    EndsWith(String),
    Host(String, Option<u16>),
}

impl NoProxy {
    /// Parses a list.
    pub(super) fn read(list: &str) -> Self {
        let entries = list.split(|letter: char| letter == ',' || letter.is_whitespace());
        Self { entries: entries.filter(|entry| !entry.is_empty()).map(Entry::read).collect() }
    }

    /// Whether a host needs no proxy. An IPv6 address is in brackets.
    pub(super) fn covers(&self, host: &str, port: u16) -> bool {
        let host = bare(host);
        is_own(&host) || self.entries.iter().any(|entry| entry.covers(&host, port))
    }
}

impl Entry {
    fn read(entry: &str) -> Self {
        let entry = entry.to_lowercase();
        if entry == "*" {
            return Self::All;
        }
        if let Some((address, bits)) = entry.split_once('/')
            && let (Ok(address), Ok(bits)) = (bare(address).parse::<IpAddr>(), bits.parse())
        {
            return Self::Range(address, bits);
        }
        if let Some(end) = entry.strip_prefix('*').filter(|end| !end.starts_with('.')) {
            return Self::EndsWith(end.to_owned());
        }
        if let Some(start) = entry.strip_suffix('*') {
            return Self::StartsWith(start.to_owned());
        }
        // `192.168.` is the start of an address; `example.org.` is a complete name.
        if entry.ends_with('.') && entry.chars().all(|letter| letter.is_ascii_digit() || letter == '.') {
            return Self::StartsWith(entry);
        }
        let (host, port) = match entry.rsplit_once(':') {
            // An IPv6 address without brackets contains several colons.
            Some((host, port)) if host.ends_with(']') || !host.contains(':') => match port.parse() {
                Ok(port) => (host, Some(port)),
                Err(_) => (entry.as_str(), None),
            },
            _ => (entry.as_str(), None),
        };
        let host = host.strip_prefix("*.").or_else(|| host.strip_prefix('.')).unwrap_or(host);
        Self::Host(bare(host), port)
    }

    fn covers(&self, host: &str, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Range(network, bits) => host.parse().is_ok_and(|address| is_within(address, *network, *bits)),
            Self::StartsWith(start) => host.starts_with(start),
            Self::EndsWith(end) => host.ends_with(end),
            Self::Host(name, only) => {
                let below = host.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                below && only.is_none_or(|only| only == port)
            }
        }
    }
}

/// A host without the brackets of IPv6 and without a trailing dot.
fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_lowercase()
}

/// Whether a host is this machine, which a proxy cannot reach.
fn is_own(host: &str) -> bool {
    let name = host == "localhost" || host.ends_with(".localhost");
    name || host.parse().is_ok_and(|address: IpAddr| address.is_loopback() || address.is_unspecified())
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let leading = |value: u128, width: u32| {
        let dropped = width.saturating_sub(bits);
        value.checked_shr(dropped).unwrap_or(0)
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => leading(a.to_bits().into(), 32) == leading(b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => leading(a.to_bits(), 128) == leading(b.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_covers_what_it_names() {
        for (list, host, port, covered) in [
            ("", "example.org", 80, false),
            ("*", "example.org", 80, true),
            ("example.org", "example.org", 80, true),
            ("example.org", "a.example.org", 80, true),
            ("example.org", "EXAMPLE.org", 80, true),
            ("Example.Org", "example.org.", 80, true),
            ("example.org", "notexample.org", 80, false),
            ("example.org", "example.org.uk", 80, false),
            (".example.org", "a.example.org", 80, true),
            (".example.org", "example.org", 80, true),
            ("*.example.org", "a.b.example.org", 80, true),
            ("*example.org", "notexample.org", 80, true),
            ("a.test, example.org", "example.org", 80, true),
            ("a.test example.org", "example.org", 80, true),
            ("a.test,,example.org,", "example.org", 80, true),
            ("example.org:8080", "example.org", 8080, true),
            ("example.org:8080", "example.org", 80, false),
            ("10.1.2.3", "10.1.2.3", 80, true),
            ("10.1.2.3", "10.1.2.30", 80, false),
            ("192.168.*", "192.168.7.7", 80, true),
            ("192.168.", "192.168.7.7", 80, true),
            ("10.0.0.0/8", "10.9.8.7", 80, true),
            ("10.0.0.0/8", "11.9.8.7", 80, false),
            ("10.0.0.0/0", "11.9.8.7", 80, true),
            ("10.0.0.1/32", "10.0.0.2", 80, false),
            ("10.0.0.0/8", "10.example.org", 80, false),
            ("fd00::/8", "[fd12::1]", 80, true),
            ("fd00::/8", "[fe80::1]", 80, false),
            ("fd12::1", "[fd12::1]", 80, true),
            ("[fd12::1]:81", "[fd12::1]", 80, false),
        ] {
            assert_eq!(NoProxy::read(list).covers(host, port), covered, "`{list}` and {host}:{port}");
        }
    }

    #[test]
    fn this_machine_is_always_covered() {
        for host in ["localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.1.2.3", "[::1]", "0.0.0.0"] {
            assert!(NoProxy::default().covers(host, 80), "{host}");
        }
        for host in ["localhost.example.org", "127.example.org", "128.0.0.1", "[::2]"] {
            assert!(!NoProxy::default().covers(host, 80), "{host}");
        }
    }
}
