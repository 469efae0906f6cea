//! One request for the missing part of an archive.

use std::io::{ErrorKind, Read};
use std::time::SystemTime;

use ureq::http::{Response, StatusCode, Uri, header};
use ureq::{Agent, Body, BodyReader, ResponseExt};

use crate::beginning::{ENOUGH, PAGE, foreign, is_text, quoted};
use crate::download::{Download, LONGEST_WAIT, Trouble};
use crate::failure::{Hope, NoAnswer, Place, describe, no_answer, unknown_user};
use crate::part::Origin;
use crate::response::{content_range, content_type, is_page, origin, retry_after, same_file};
use crate::{Event, FetchError};

/// An answer with content.
struct Answer {
    url: String,
    /// The final address after redirects, if it differs.
    from: Option<String>,
    content_type: Option<String>,
    /// Properties of the file in the headers.
    origin: Origin,
    /// Whether the headers determine the end of the content. Otherwise a lost connection looks like the end.
    has_end: bool,
    body: BodyReader<'static>,
}

impl Download<'_> {
    /// Requests the missing part, or the whole file if `everything`, and reads the answer.
    pub(super) fn attempt(&mut self, agent: &Agent, url: &str, everything: bool) -> Result<(), Trouble> {
        let offset = if everything { 0 } else { self.part.length() };
        let mut request = agent.get(url).header(header::ACCEPT_ENCODING, "identity");
        if offset > 0 {
            request = request.header(header::RANGE, format!("bytes={offset}-"));
            // A validator is valid at its own address. A server whose file has changed then sends the whole file.
            if let Some(validator) = self.part.origin().validator().filter(|_| self.part.origin().url == url) {
                request = request.header(header::IF_RANGE, validator);
            }
        }
        let response = request.call().map_err(|error| self.no_answer(url, &error))?;
        match response.status() {
            StatusCode::OK => {
                let length = response.body().content_length();
                self.whole(answer(url, response, length))
            }
            StatusCode::PARTIAL_CONTENT if offset > 0 => {
                let range = content_range(response.headers());
                let length = response.body().content_length();
                let answer = answer(url, response, range.and_then(|range| range.total));
                let fits = range.is_some_and(|range| range.starts_at(offset, length));
                if fits && same_file(self.part.origin(), &answer.origin) {
                    self.rest(answer)
                } else {
                    // Keep the part until the whole file arrives.
                    self.attempt(agent, url, true)
                }
            }
            // The file ends where the part ends: the part is complete, or belongs to another file.
            StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => {
                let total = content_range(response.headers()).and_then(|range| range.total);
                self.compare_size(url, total)?;
                if total == Some(offset) && self.source.size.is_none() {
                    Ok(())
                } else {
                    self.attempt(agent, url, true)
                }
            }
            status => Err(self.refusal(url, status, &response)),
        }
    }

    /// Reads an answer that should contain the whole file. Checks the first bytes before it overwrites the part, so that a login page
    /// or another version does not replace it.
    fn whole(&mut self, mut answer: Answer) -> Result<(), Trouble> {
        let (first, error) = take(&mut answer.body, ENOUGH);
        let is_cut = first.is_empty() && (error.is_some() || !answer.has_end);
        if let Some(found) = foreign(self.source.format, &first).filter(|_| !is_cut) {
            return Err(self.not_archive(answer, first, found));
        }
        match error {
            Some(error) => return Err(self.cut(&answer.url, describe(&ureq::Error::from(error), self.options))),
            None if first.is_empty() => return Err(self.cut(&answer.url, CLOSED.to_owned())),
            None => {}
        }
        self.compare_size(&answer.url, answer.origin.total)?;
        self.part.begin(answer.origin.clone(), false)?;
        self.goes_on = false;
        self.read(answer, &first)
    }

    /// Reads an answer that should contain the rest of the file.
    fn rest(&mut self, mut answer: Answer) -> Result<(), Trouble> {
        let mut first = Vec::new();
        if answer.content_type.as_deref().is_some_and(is_page) {
            (first, _) = take(&mut answer.body, ENOUGH);
            if let Some(found) = foreign(self.source.format, &first).filter(|_| is_text(&first)) {
                return Err(self.not_archive(answer, first, found));
            }
        }
        self.compare_size(&answer.url, answer.origin.total)?;
        answer.origin.total = answer.origin.total.or(self.part.origin().total);
        self.part.begin(answer.origin.clone(), true)?;
        self.read(answer, &first)
    }

    /// Appends the content of an answer to the part.
    fn read(&mut self, mut answer: Answer, first: &[u8]) -> Result<(), Trouble> {
        let total = self.source.size.or(answer.origin.total);
        let mut buffer = vec![0; 1 << 16];
        (self.progress)(Event::Downloading { done: self.part.length(), total });
        self.keep(&answer.url, first)?;
        loop {
            let count = match answer.body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.cut(&answer.url, describe(&ureq::Error::from(error), self.options))),
            };
            self.keep(&answer.url, &buffer[..count])?;
            (self.progress)(Event::Downloading { done: self.part.length(), total });
        }
        match total {
            Some(total) if self.part.length() < total => Err(self.cut(&answer.url, CLOSED.to_owned())),
            _ => Ok(self.part.finish()?),
        }
    }

    fn keep(&mut self, url: &str, bytes: &[u8]) -> Result<(), Trouble> {
        // The server may not have announced the size.
        let found = self.part.length() + bytes.len() as u64;
        if let Some(expected) = self.source.size.filter(|&size| found > size) {
            self.part.clear()?;
            let url = url.to_owned();
            return Err(Trouble::Refused(FetchError::WrongSize { url, expected, found, at_least: true }));
        }
        self.part.append(bytes)?;
        self.received += bytes.len() as u64;
        Ok(())
    }

    /// Compares the announced size with the expected one.
    fn compare_size(&self, url: &str, total: Option<u64>) -> Result<(), Trouble> {
        match (self.source.size, total) {
            (Some(expected), Some(found)) if found != expected => {
                Err(Trouble::Refused(FetchError::WrongSize { url: url.to_owned(), expected, found, at_least: false }))
            }
            _ => Ok(()),
        }
    }

    /// The error for an answer that is not an archive.
    fn not_archive(&self, mut answer: Answer, mut first: Vec<u8>, found: String) -> Trouble {
        // Read more of a page to find its title.
        first.extend(take(&mut answer.body, PAGE - first.len()).0);
        let found = foreign(self.source.format, &first).unwrap_or(found);
        let kind = answer.content_type.map(|kind| format!(" ({})", quoted(&kind))).unwrap_or_default();
        Trouble::Refused(FetchError::NotArchive {
            url: answer.url,
            from: answer.from,
            found: found + &kind,
            expected: self.source.format,
            archive: self.archive.to_owned(),
        })
    }

    /// Interprets the status of an answer without the file.
    fn refusal(&self, url: &str, status: StatusCode, response: &Response<Body>) -> Trouble {
        if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
            && let Ok(Some(proxy)) = self.proxies.of(response.get_uri())
        {
            let (problem, variable) = (unknown_user(&proxy), proxy.variable);
            return Trouble::Refused(FetchError::Proxy { url: url.to_owned(), problem, variable });
        }
        let asked = retry_after(response.headers(), SystemTime::now());
        let short = asked.filter(|&asked| asked <= LONGEST_WAIT);
        let passes = match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => true,
            // Without a short wait, another request would be rejected as well.
            StatusCode::TOO_MANY_REQUESTS => short.is_some(),
            StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
            StatusCode::NETWORK_AUTHENTICATION_REQUIRED => false,
            status => status.is_server_error(),
        };
        let (url, archive) = (url.to_owned(), self.archive.to_owned());
        let long = asked.filter(|_| short.is_none());
        let error = FetchError::Status { url, status: status.to_string(), wait: long, archive };
        if passes && long.is_none() {
            Trouble::Passing { problem: format!("the server answered {status}"), error: error.into(), wait: short }
        } else {
            Trouble::Refused(error)
        }
    }

    /// Interprets the error of a request that got no answer.
    fn no_answer(&self, url: &str, error: &ureq::Error) -> Trouble {
        let NoAnswer { place, mut problem, hope } = no_answer(error, self.options);
        let trouble = match place {
            Place::Address => Trouble::Refused(FetchError::BadAddress { url: url.to_owned(), problem }),
            Place::Proxy(variable) => {
                let error = FetchError::Proxy { url: url.to_owned(), problem: problem.clone(), variable };
                Trouble::Passing { problem, error: error.into(), wait: None }
            }
            Place::Way => {
                let proxy = url.parse().ok().and_then(|uri| self.proxies.of(&uri).ok().flatten());
                if let Some(proxy) = proxy {
                    problem += &format!(" (through the proxy {} of {})", proxy.address(), proxy.variable);
                }
                self.cut(url, problem)
            }
        };
        let hopeless = hope == Hope::None || hope == Hope::IfReachedBefore && self.received == 0;
        match trouble {
            Trouble::Passing { error, .. } if hopeless => Trouble::Refused(*error),
            trouble => trouble,
        }
    }

    /// The error for a connection that broke or was not established.
    fn cut(&self, url: &str, problem: String) -> Trouble {
        let (url, have) = (url.to_owned(), self.part.length());
        let error = if have > 0 {
            let total = self.source.size.or(self.part.origin().total);
            FetchError::Cut { url, problem: problem.clone(), have, total, part: self.part.path().to_owned() }
        } else {
            FetchError::Unreachable { url, problem: problem.clone(), archive: self.archive.to_owned() }
        };
        Trouble::Passing { problem, error: error.into(), wait: None }
    }
}

const CLOSED: &str = "the connection was closed";

fn answer(url: &str, response: Response<Body>, total: Option<u64>) -> Answer {
    let origin = origin(url, response.headers(), total);
    let content_type = content_type(response.headers());
    let last = response.get_uri();
    let from = (!url.parse().is_ok_and(|first: Uri| first == *last)).then(|| {
        // The query may contain a secret key.
        let host = last.authority().map_or("", |authority| authority.as_str()).rsplit('@').next().unwrap_or_default();
        quoted(&format!("{}://{host}{}", last.scheme_str().unwrap_or("http"), last.path()))
    });
    let has_end =
        [header::CONTENT_LENGTH, header::TRANSFER_ENCODING].iter().any(|name| response.headers().contains_key(name));
    Answer { url: url.to_owned(), from, content_type, origin, has_end, body: response.into_body().into_reader() }
}

/// Reads up to `count` bytes. Returns the bytes before an error, and the error.
fn take(body: &mut BodyReader<'static>, count: usize) -> (Vec<u8>, Option<std::io::Error>) {
    let mut bytes = Vec::new();
    // `bytes` has what arrived before an error.
    let error = body.take(count as u64).read_to_end(&mut bytes).err();
    (bytes, error)
}
