//! Bringing an archive to disk, through cut connections.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::part::{Origin, Part};
use super::response::{content_range, origin, retry_after, same_file};
use super::{Event, FetchError, FetchOptions, Source};

/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A download under way.
pub(super) struct Download<'a> {
    pub(super) source: &'a Source,
    pub(super) options: &'a FetchOptions,
    pub(super) part: &'a mut Part,
    /// Where an archive from elsewhere would be looked for, for the messages.
    pub(super) archive: &'a Path,
    pub(super) progress: &'a dyn Fn(Event<'_>),
    /// Bytes received.
    pub(super) received: u64,
}

/// Why a try ended early.
enum Trouble {
    /// Trying again, or elsewhere, is no use.
    Fatal(FetchError),
    /// Trying again here is no use.
    Refused(FetchError),
    /// It may pass.
    Passing { problem: String, status: Option<StatusCode>, wait: Option<Duration> },
}

impl From<FetchError> for Trouble {
    /// The disk's errors have nothing to do with the server.
    fn from(error: FetchError) -> Self {
        Self::Fatal(error)
    }
}

impl Download<'_> {
    /// Completes the part file and returns the address it came from in the end.
    ///
    /// # Errors
    /// The disk's first error, or the most telling one of all the addresses.
    pub(super) fn run(&mut self) -> Result<String, FetchError> {
        let urls = match &self.options.url {
            Some(url) => std::slice::from_ref(url),
            None => self.source.urls.as_slice(),
        };
        if self.is_complete() {
            return Ok(self.part.origin().url.clone());
        }
        let mut failure = None;
        for url in urls {
            match self.from(url) {
                Ok(()) => return Ok(url.clone()),
                Err(Trouble::Fatal(error)) => return Err(error),
                Err(Trouble::Refused(error)) => {
                    // One that brought something says more than one that did not.
                    if failure.is_none() || matches!(error, FetchError::Cut { .. }) {
                        failure = Some(error);
                    }
                }
                Err(Trouble::Passing { .. }) => unreachable!("`from` gives up in the end"),
            }
        }
        Err(failure.unwrap_or_else(|| FetchError::BadAddress {
            url: self.source.name.clone(),
            problem: "it has no address".to_owned(),
        }))
    }

    /// Whether all bytes are there, as far as anyone said how many there are.
    fn is_complete(&self) -> bool {
        let total = self.source.size.or(self.part.origin().total);
        total.is_some_and(|total| self.part.length() == total)
    }

    /// Tries one address until it is done or a number of tries in a row brought nothing.
    fn from(&mut self, url: &str) -> Result<(), Trouble> {
        let agent = agent(url, self.options).map_err(Trouble::Refused)?;
        let mut longest = self.part.length();
        let mut in_vain = 0;
        let mut wait = self.options.backoff;
        loop {
            (self.progress)(Event::Connecting { url });
            let (problem, status, asked_wait) = match self.attempt(&agent, url) {
                Err(Trouble::Passing { problem, status, wait }) => (problem, status, wait),
                ended => return ended,
            };
            if self.part.length() > longest {
                longest = self.part.length();
                in_vain = 0;
                wait = self.options.backoff;
            }
            in_vain += 1;
            if in_vain >= self.options.tries {
                return Err(Trouble::Refused(self.gave_up(url, problem, status)));
            }
            let pause = asked_wait.unwrap_or(wait).min(LONGEST_WAIT);
            (self.progress)(Event::Retrying { reason: &problem, attempt: in_vain + 1, wait: pause });
            std::thread::sleep(pause);
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn gave_up(&self, url: &str, problem: String, status: Option<StatusCode>) -> FetchError {
        let url = url.to_owned();
        match status {
            Some(status) => FetchError::Status { url, status: status.to_string(), archive: self.archive.to_owned() },
            None if self.part.length() > 0 => FetchError::Cut {
                url,
                problem,
                have: self.part.length(),
                total: self.source.size.or(self.part.origin().total),
                part: self.part.path().to_owned(),
            },
            None => FetchError::Unreachable { url, problem, archive: self.archive.to_owned() },
        }
    }

    /// Asks once for what is missing and reads it.
    fn attempt(&mut self, agent: &Agent, url: &str) -> Result<(), Trouble> {
        let offset = self.part.length();
        let mut request = agent.get(url).header(header::ACCEPT_ENCODING, "identity");
        if offset > 0 {
            request = request.header(header::RANGE, format!("bytes={offset}-"));
            // A validator means something to the server it is from; and one that changed its file then sends all of it.
            if let Some(validator) = self.part.origin().validator().filter(|_| self.part.origin().url == url) {
                request = request.header(header::IF_RANGE, validator);
            }
        }
        let response = request.call().map_err(|error| self.no_answer(url, error))?;
        match response.status() {
            StatusCode::OK => {
                let total = response.body().content_length();
                let found = origin(url, response.headers(), total);
                self.compare_size(url, total)?;
                self.part.begin(found, false)?;
                self.read(url, response, total)
            }
            StatusCode::PARTIAL_CONTENT if offset > 0 => {
                let range = content_range(response.headers());
                let total = range.and_then(|range| range.total);
                let found = origin(url, response.headers(), total);
                self.compare_size(url, total)?;
                let before = self.part.origin();
                if range.and_then(|range| range.first) != Some(offset) || !same_file(before, &found) {
                    return self.afresh(agent, url);
                }
                let total = total.or(before.total);
                self.part.begin(Origin { total, ..found }, true)?;
                self.read(url, response, total)
            }
            // There is nothing after the last byte: either that is how it should be, or the part is of something else.
            StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => {
                let total = content_range(response.headers()).and_then(|range| range.total);
                self.compare_size(url, total)?;
                if total == Some(offset) && self.source.size.is_none() { Ok(()) } else { self.afresh(agent, url) }
            }
            status @ (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS) => {
                Err(passing(status, &response))
            }
            status if status.is_server_error() => Err(passing(status, &response)),
            status => Err(Trouble::Refused(FetchError::Status {
                url: url.to_owned(),
                status: status.to_string(),
                archive: self.archive.to_owned(),
            })),
        }
    }

    /// Drops what there is and asks for everything.
    fn afresh(&mut self, agent: &Agent, url: &str) -> Result<(), Trouble> {
        self.part.clear()?;
        self.attempt(agent, url)
    }

    /// Before the first byte: a page of the network's login, or another version, is not worth losing the part for.
    fn compare_size(&self, url: &str, total: Option<u64>) -> Result<(), Trouble> {
        match (self.source.size, total) {
            (Some(expected), Some(found)) if found != expected => {
                Err(Trouble::Refused(FetchError::WrongSize { url: url.to_owned(), expected, found, at_least: false }))
            }
            _ => Ok(()),
        }
    }

    fn read(&mut self, url: &str, response: Response<Body>, total: Option<u64>) -> Result<(), Trouble> {
        let total = self.source.size.or(total);
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 16];
        (self.progress)(Event::Downloading { done: self.part.length(), total });
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(cut(error.to_string())),
            };
            self.received += count as u64;
            // A server may send without saying how much.
            let found = self.part.length() + count as u64;
            if let Some(expected) = self.source.size.filter(|&size| found > size) {
                self.part.clear()?;
                let url = url.to_owned();
                return Err(Trouble::Refused(FetchError::WrongSize { url, expected, found, at_least: true }));
            }
            self.part.append(&buffer[..count])?;
            (self.progress)(Event::Downloading { done: self.part.length(), total });
        }
        match total {
            Some(total) if self.part.length() < total => Err(cut("the connection was closed".to_owned())),
            _ => Ok(self.part.finish()?),
        }
    }

    /// What a request without an answer means.
    fn no_answer(&self, url: &str, error: ureq::Error) -> Trouble {
        let problem = error.to_string();
        let url = url.to_owned();
        match error {
            ureq::Error::BadUri(_)
            | ureq::Error::Http(_)
            | ureq::Error::InvalidProxyUrl
            | ureq::Error::TooManyRedirects
            | ureq::Error::RedirectFailed => Trouble::Refused(FetchError::BadAddress { url, problem }),
            ureq::Error::Tls(_) | ureq::Error::Rustls(_) => {
                Trouble::Refused(FetchError::Unreachable { url, problem, archive: self.archive.to_owned() })
            }
            // Without a network no name is found; in the middle of a download that may pass.
            ureq::Error::HostNotFound if self.received == 0 => {
                Trouble::Refused(FetchError::Unreachable { url, problem, archive: self.archive.to_owned() })
            }
            _ => cut(problem),
        }
    }
}

fn cut(problem: String) -> Trouble {
    Trouble::Passing { problem, status: None, wait: None }
}

fn passing(status: StatusCode, response: &Response<Body>) -> Trouble {
    let wait = retry_after(response.headers());
    Trouble::Passing { problem: format!("the server answered {status}"), status: Some(status), wait }
}

fn agent(url: &str, options: &FetchOptions) -> Result<Agent, FetchError> {
    let host = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .ok_or_else(|| FetchError::BadAddress { url: url.to_owned(), problem: "it is no web address".to_owned() })?;
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("qare/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(options.connect_timeout))
        .timeout_connect(Some(options.connect_timeout))
        .timeout_recv_response(Some(options.read_timeout))
        .timeout_per_read(Some(options.read_timeout));
    // A proxy of the environment cannot reach this machine.
    if ["localhost", "127.", "[::1]"].iter().any(|own| host.starts_with(own)) {
        config = config.proxy(None);
    }
    Ok(config.build().into())
}
