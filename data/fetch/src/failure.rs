//! Interprets errors of requests that got no answer.

use std::fmt;
use std::io::ErrorKind;

use ureq::http::Uri;
use ureq::{Error, Timeout};

use crate::FetchOptions;
use crate::proxies::{BadProxy, NamedProxy};

/// Whether another try may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hope {
    /// It may: connections break, and servers are busy.
    Good,
    /// Only if the server was reached before: then the network is down for a while. Otherwise there is no server.
    IfReachedBefore,
    /// It cannot.
    None,
}

/// Where a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The address is invalid.
    Address,
    /// The connection to the server failed.
    Way,
    /// The proxy that this variable names failed.
    Proxy(&'static str),
}

/// A request that got no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoAnswer {
    pub(super) place: Place,
    pub(super) problem: String,
    pub(super) hope: Hope,
}

/// Interprets the error of a request.
pub(super) fn no_answer(error: &Error, options: &FetchOptions) -> NoAnswer {
    if let Error::Other(inner) = error
        && let Some(failure) = inner.downcast_ref::<ProxyFailure>()
    {
        let (place, problem) = (Place::Proxy(failure.variable), failure.problem.clone());
        return NoAnswer { place, problem, hope: failure.hope };
    }
    let place = match error {
        Error::BadUri(_) | Error::Http(_) | Error::TooManyRedirects | Error::RedirectFailed => Place::Address,
        Error::Protocol(problem) if is_bad_location(problem) => Place::Address,
        _ => Place::Way,
    };
    let hope = if place == Place::Address { Hope::None } else { hope(error) };
    NoAnswer { place, problem: describe(error, options), hope }
}

fn is_bad_location(error: &impl fmt::Display) -> bool {
    error.to_string().to_lowercase().contains("location")
}

fn hope(error: &Error) -> Hope {
    match error {
        Error::Tls(_) | Error::Rustls(_) | Error::TlsRequired | Error::Protocol(_) | Error::LargeResponseHeader(..) => {
            Hope::None
        }
        Error::HostNotFound => Hope::IfReachedBefore,
        Error::Other(inner) if inner.is::<LookupFailure>() => Hope::IfReachedBefore,
        Error::Io(error) => match error.kind() {
            // rustls reports invalid answers and certificates with this kind.
            ErrorKind::InvalidData => Hope::None,
            ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::AddrNotAvailable
            | ErrorKind::PermissionDenied => Hope::IfReachedBefore,
            _ => Hope::Good,
        },
        _ => Hope::Good,
    }
}

/// The message of an error.
pub(super) fn describe(error: &Error, options: &FetchOptions) -> String {
    match error {
        Error::Timeout(Timeout::Resolve) => format!("its name was not found within {:?}", options.connect_timeout),
        Error::Timeout(Timeout::Connect) => format!("there was no connection within {:?}", options.connect_timeout),
        Error::Timeout(_) => format!("nothing came for {:?}", options.read_timeout),
        Error::TooManyRedirects => "it leads from one address to another without end".to_owned(),
        Error::BadUri(problem) => {
            format!("it is not a web address, or redirects to something that is not one ({problem})")
        }
        Error::Protocol(problem) if is_bad_location(problem) => {
            format!("it redirects to something that is not a web address ({problem})")
        }
        Error::Protocol(problem) => format!("the answer is not HTTP ({problem})"),
        Error::Io(error) if error.kind() == ErrorKind::InvalidData => encryption(&error.to_string()),
        Error::Rustls(error) => encryption(&error.to_string()),
        Error::Tls(problem) => encryption(problem),
        Error::Io(error) => error.to_string(),
        Error::Other(error) => error.to_string(),
        other => other.to_string(),
    }
}

fn encryption(problem: &str) -> String {
    let cause = if problem.contains("certificate") {
        ": the clock of this machine may be wrong, or the network may replace certificates by its own"
    } else {
        ""
    };
    format!("the encrypted connection failed ({problem}){cause}")
}

/// A host name that cannot be resolved.
#[derive(Debug)]
pub(super) struct LookupFailure {
    host: String,
    problem: String,
}

impl LookupFailure {
    pub(super) fn new(uri: &Uri, error: &Error) -> Self {
        let problem = if let Error::Io(error) = error { error.to_string() } else { error.to_string() };
        Self { host: uri.host().unwrap_or_default().to_owned(), problem }
    }
}

impl fmt::Display for LookupFailure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "the name {} was not found ({})", self.host, self.problem)
    }
}

impl std::error::Error for LookupFailure {}

/// A proxy that fails.
#[derive(Debug)]
pub(super) struct ProxyFailure {
    variable: &'static str,
    problem: String,
    hope: Hope,
}

impl ProxyFailure {
    /// A variable whose value is not the address of a proxy.
    pub(super) fn bad(bad: BadProxy) -> Self {
        let variable = bad.variable;
        let problem = format!(
            "the value of {variable} is not the address of a proxy, expected http://HOST:PORT or http://NAME:PASSWORD@HOST:PORT, with \
             %40 for an @ in the password and the like"
        );
        Self { variable, problem, hope: Hope::None }
    }

    /// A proxy that cannot be reached.
    pub(super) fn unreachable(proxy: &NamedProxy, error: Error) -> Self {
        let why = match &error {
            Error::Io(error) => error.to_string(),
            Error::Other(error) => error.to_string(),
            error => error.to_string(),
        };
        let problem = format!("the proxy {} cannot be reached: {why}", proxy.address());
        Self { variable: proxy.variable, problem, hope: hope(&error) }
    }

    /// A proxy that does not connect to the server. `problem` contains the status of its answer.
    pub(super) fn refused(proxy: &NamedProxy, problem: &str) -> Self {
        let digits = problem.split(|letter: char| !letter.is_ascii_digit()).find(|digits| digits.len() == 3);
        let status = digits.and_then(|digits| digits.parse().ok());
        let hope = if status.is_some_and(|status: u16| status < 500) { Hope::None } else { Hope::Good };
        let problem = match status {
            Some(407) => unknown_user(proxy),
            Some(status) => {
                format!("the proxy {} does not connect to the server, it answered {status}", proxy.address())
            }
            None => format!("the proxy {} does not connect to the server: {problem}", proxy.address()),
        };
        Self { variable: proxy.variable, problem, hope }
    }
}

/// The message for status 407.
pub(super) fn unknown_user(proxy: &NamedProxy) -> String {
    if proxy.proxy.username().is_none() {
        let scheme = proxy.proxy.uri().scheme_str().unwrap_or("http");
        format!(
            "the proxy {} asks for a name and a password (407); {} takes them as {scheme}://NAME:PASSWORD@{}:{}",
            proxy.address(),
            proxy.variable,
            proxy.proxy.host(),
            proxy.proxy.port()
        )
    } else {
        format!("the proxy {} does not accept the name and the password of {} (407)", proxy.address(), proxy.variable)
    }
}

impl fmt::Display for ProxyFailure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}", self.problem)
    }
}

impl std::error::Error for ProxyFailure {}

impl From<LookupFailure> for Error {
    fn from(failure: LookupFailure) -> Self {
        Self::Other(Box::new(failure))
    }
}

impl From<ProxyFailure> for Error {
    fn from(failure: ProxyFailure) -> Self {
        Self::Other(Box::new(failure))
    }
}
