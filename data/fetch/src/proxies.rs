//! The proxies of the environment.

use ureq::Proxy;
use ureq::http::Uri;

use crate::no_proxy::NoProxy;

/// A proxy, and the variable that names it.
#[derive(Debug, Clone)]
pub(super) struct NamedProxy {
    pub(super) proxy: Proxy,
    pub(super) variable: &'static str,
}

impl NamedProxy {
    /// Whether it accepts requests in absolute form. Other proxies tunnel connections.
    pub(super) fn understands_http(&self) -> bool {
        matches!(self.proxy.protocol(), ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https)
    }

    /// The address without name and password, for messages.
    pub(super) fn address(&self) -> String {
        let scheme = self.proxy.uri().scheme_str().unwrap_or("http");
        format!("{scheme}://{}:{}", self.proxy.host(), self.proxy.port())
    }
}

/// A variable whose value is not the address of a proxy. Messages omit the value, which may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadProxy {
    pub(super) variable: &'static str,
}

/// The variables `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`.
#[derive(Debug, Clone, Default)]
pub(super) struct Proxies {
    http: Option<(&'static str, String)>,
    https: Option<(&'static str, String)>,
    without: NoProxy,
}

impl Proxies {
    /// The proxies of this process's environment.
    pub(super) fn of_environment() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Lower case takes precedence over upper case, and the variable of a scheme over `all_proxy`. An empty variable counts as
    /// unset.
    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|&name| {
                let value = variable(name)?.trim().to_owned();
                (!value.is_empty()).then_some((name, value))
            })
        };
        Self {
            http: first(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
            https: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            without: first(&["no_proxy", "NO_PROXY"]).map(|(_, list)| NoProxy::read(&list)).unwrap_or_default(),
        }
    }

    /// The proxy for an address, if any.
    pub(super) fn of(&self, uri: &Uri) -> Result<Option<NamedProxy>, BadProxy> {
        let secure = uri.scheme_str() == Some("https");
        let Some((variable, value)) = (if secure { &self.https } else { &self.http }) else { return Ok(None) };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        if self.without.covers(uri.host().unwrap_or_default(), port) {
            return Ok(None);
        }
        let value = if value.contains("://") { value.clone() } else { format!("http://{value}") };
        match Proxy::new(&value) {
            Ok(proxy) if is_whole(proxy.uri()) => Ok(Some(NamedProxy { proxy, variable })),
            _ => Err(BadProxy { variable }),
        }
    }
}

/// Whether an address has a host, and a valid port if there is a colon.
pub(super) fn is_whole(uri: &Uri) -> bool {
    let (Some(authority), Some(host)) = (uri.authority(), uri.host()) else { return false };
    let place = authority.as_str().rsplit('@').next().unwrap_or_default();
    !host.is_empty() && (place == host || uri.port_u16().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(variables: &[(&str, &str)], uri: &str) -> Result<Option<(&'static str, String)>, BadProxy> {
        let find = |name: &str| variables.iter().find(|(found, _)| *found == name).map(|(_, value)| value.to_string());
        let found = Proxies::read(find).of(&uri.parse().unwrap())?;
        Ok(found.map(|found| (found.variable, found.address())))
    }

    #[test]
    fn each_scheme_has_its_variable() {
        let variables = [("http_proxy", "http://a:1"), ("https_proxy", "b:2"), ("all_proxy", "socks5h://c")];
        let found = |address: &str| Ok(Some(address.to_owned()));
        let address =
            |variables: &[(&str, &str)], uri| proxy(variables, uri).map(|found| found.map(|(_, found)| found));
        assert_eq!(address(&variables, "http://x.test/"), found("http://a:1"));
        assert_eq!(address(&variables, "https://x.test/"), found("http://b:2"));
        assert_eq!(address(&variables[..1], "https://x.test/"), Ok(None));
        assert_eq!(address(&variables[1..2], "http://x.test/"), Ok(None));
        assert_eq!(address(&variables[2..], "http://x.test/"), found("socks5h://c:1080"));
        assert_eq!(address(&variables[2..], "https://x.test/"), found("socks5h://c:1080"));
    }

    #[test]
    fn small_letters_go_first_and_nothing_is_nothing() {
        let both = [("HTTP_PROXY", "http://capital:1"), ("http_proxy", "http://small:1")];
        assert_eq!(proxy(&both, "http://x.test/"), Ok(Some(("http_proxy", "http://small:1".to_owned()))));
        assert_eq!(proxy(&both[..1], "http://x.test/"), Ok(Some(("HTTP_PROXY", "http://capital:1".to_owned()))));
        let empty = [("HTTP_PROXY", "http://capital:1"), ("http_proxy", " ")];
        assert_eq!(proxy(&empty, "http://x.test/"), Ok(Some(("HTTP_PROXY", "http://capital:1".to_owned()))));
        assert_eq!(proxy(&[("http_proxy", "")], "http://x.test/"), Ok(None));
    }

    #[test]
    fn a_password_is_not_shown_and_a_path_does_no_harm() {
        let variables = [("http_proxy", "user:secret@[::1]:3128/")];
        assert_eq!(proxy(&variables, "http://x.test/"), Ok(Some(("http_proxy", "http://[::1]:3128".to_owned()))));
    }

    #[test]
    fn a_value_that_is_no_address_is_refused_where_it_is_needed() {
        for value in ["http://", "ftp://a:1", "http://a b:1", "http://a:port"] {
            let variables = [("http_proxy", value), ("no_proxy", "near.test")];
            assert_eq!(proxy(&variables, "http://x.test/"), Err(BadProxy { variable: "http_proxy" }), "{value}");
            assert_eq!(proxy(&variables, "http://near.test/"), Ok(None), "{value}");
            assert_eq!(proxy(&variables, "https://x.test/"), Ok(None), "{value}");
        }
    }
}
