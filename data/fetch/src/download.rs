//! Downloads an archive, with retries and several addresses.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use qare_printable::printable;
use ureq::Agent;
use ureq::http::Uri;

use crate::beginning::{PAGE, foreign};
use crate::checksum::md5_of;
use crate::connection::agent;
use crate::part::Part;
use crate::proxies::{Proxies, is_whole};
use crate::{Event, FetchError, FetchOptions, Source};

/// The longest wait between two tries. If a server asks for a longer one, its address is given up.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A download in progress.
pub(super) struct Download<'a> {
    pub(super) source: &'a Source,
    pub(super) options: &'a FetchOptions,
    pub(super) part: &'a mut Part,
    /// The path at which an existing archive is used, for messages.
    pub(super) archive: &'a Path,
    pub(super) progress: &'a dyn Fn(Event<'_>),
    pub(super) proxies: Arc<Proxies>,
    /// Number of bytes received and kept.
    pub(super) received: u64,
    /// Whether the part contains bytes from before the current address.
    pub(super) goes_on: bool,
}

/// Why a try failed.
pub(super) enum Trouble {
    /// No further try can succeed.
    Fatal(FetchError),
    /// No further try at this address can succeed.
    Refused(FetchError),
    /// Another try may succeed.
    Passing {
        /// The problem.
        problem: String,
        /// The error if no further try succeeds.
        error: Box<FetchError>,
        /// The wait that the server asks for.
        wait: Option<Duration>,
    },
}

impl From<FetchError> for Trouble {
    /// Errors of the disk do not depend on the server.
    fn from(error: FetchError) -> Self {
        Self::Fatal(error)
    }
}

impl<'a> Download<'a> {
    pub(super) fn new(
        source: &'a Source,
        options: &'a FetchOptions,
        part: &'a mut Part,
        archive: &'a Path,
        progress: &'a dyn Fn(Event<'_>),
    ) -> Self {
        let proxies = Arc::new(Proxies::of_environment());
        Self { source, options, part, archive, progress, proxies, received: 0, goes_on: false }
    }

    /// Completes the part file, verifies its checksum, and returns the number of downloaded bytes.
    ///
    /// # Errors
    /// The first error of the disk, or the most telling error of all addresses.
    pub(super) fn run(mut self) -> Result<u64, FetchError> {
        if self.is_complete() {
            match self.verify("") {
                Err(Trouble::Refused(_)) => self.start_anew("its checksum is wrong")?,
                Err(Trouble::Fatal(error)) => return Err(error),
                Err(Trouble::Passing { error, .. }) => return Err(*error),
                Ok(()) => return Ok(0),
            }
        }
        self.drop_foreign_part()?;
        let urls = match &self.options.url {
            Some(url) => std::slice::from_ref(url),
            None => self.source.urls.as_slice(),
        };
        let mut failure = None;
        for url in urls {
            let error = match self.from(url) {
                Ok(()) => return Ok(self.received),
                Err(Trouble::Fatal(error)) => return Err(error),
                Err(Trouble::Refused(error)) => error,
                Err(Trouble::Passing { error, .. }) => *error,
            };
            // An error after progress is more telling.
            if failure.is_none() || matches!(error, FetchError::Cut { .. } | FetchError::Checksum { .. }) {
                failure = Some(error);
            }
        }
        Err(failure.unwrap_or_else(|| FetchError::BadAddress {
            url: self.source.name.clone(),
            problem: "it has no address".to_owned(),
        }))
    }

    /// Drops a part that is not the start of an archive.
    fn drop_foreign_part(&mut self) -> Result<(), FetchError> {
        if self.part.length() == 0 {
            return Ok(());
        }
        match foreign(self.source.format, &self.part.beginning(PAGE)?) {
            Some(found) => self.start_anew(&format!("it is {found}")),
            None => Ok(()),
        }
    }

    fn start_anew(&mut self, why: &str) -> Result<(), FetchError> {
        let reason = format!("{} is of no use: {why}", printable(self.part.path()));
        (self.progress)(Event::StartingAnew { reason: &reason });
        self.part.clear()
    }

    /// Whether the part has the known size of the archive.
    fn is_complete(&self) -> bool {
        let total = self.source.size.or(self.part.origin().total);
        total.is_some_and(|total| self.part.length() == total)
    }

    /// Downloads the archive from one address. If the checksum is wrong and the part contains earlier bytes, starts anew.
    fn from(&mut self, url: &str) -> Result<(), Trouble> {
        if let Some(problem) = address_problem(url) {
            return Err(Trouble::Refused(FetchError::BadAddress { url: url.to_owned(), problem }));
        }
        let agent = agent(self.options, self.proxies.clone());
        self.goes_on = self.part.length() > 0;
        self.persist(&agent, url)?;
        match self.verify(url) {
            Err(Trouble::Refused(_)) if self.goes_on => {
                self.start_anew("with the rest that came now its checksum is wrong")?;
                self.goes_on = false;
                self.persist(&agent, url)?;
                self.verify(url)
            }
            verified => verified,
        }
        .inspect_err(|trouble| {
            if matches!(trouble, Trouble::Refused(_)) {
                // If this fails, the caller removes the part.
                let _ = self.part.clear();
            }
        })
    }

    /// Verifies the checksum of the part.
    fn verify(&self, url: &str) -> Result<(), Trouble> {
        let found = md5_of(self.part.file(), self.progress)
            .map_err(|source| FetchError::Read { path: self.part.path().to_owned(), source })?;
        if found.eq_ignore_ascii_case(&self.source.md5) {
            return Ok(());
        }
        let (url, expected) = (url.to_owned(), self.source.md5.clone());
        Err(Trouble::Refused(FetchError::Checksum { url, expected, found }))
    }

    /// Tries one address until the download is complete or [`FetchOptions::tries`] consecutive tries make no progress.
    fn persist(&mut self, agent: &Agent, url: &str) -> Result<(), Trouble> {
        let mut longest = self.part.length();
        let mut in_vain = 0;
        let mut wait = self.options.backoff;
        loop {
            (self.progress)(Event::Connecting { url });
            let (problem, error, asked_wait) = match self.attempt(agent, url, false) {
                Err(Trouble::Passing { problem, error, wait }) => (problem, error, wait),
                ended => return ended,
            };
            if self.part.length() > longest {
                longest = self.part.length();
                in_vain = 0;
                wait = self.options.backoff;
            }
            in_vain += 1;
            if in_vain >= self.options.tries {
                return Err(Trouble::Refused(*error));
            }
            let pause = asked_wait.unwrap_or(wait).min(LONGEST_WAIT);
            (self.progress)(Event::Retrying { reason: &problem, attempt: in_vain + 1, wait: pause });
            std::thread::sleep(pause);
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

/// The problem of an invalid address.
fn address_problem(url: &str) -> Option<String> {
    match url.parse::<Uri>() {
        Err(error) => Some(error.to_string()),
        Ok(uri) if !matches!(uri.scheme_str(), Some("https" | "http")) => Some("it is not a web address".to_owned()),
        Ok(uri) if !is_whole(&uri) => Some("it has no host, or an invalid port".to_owned()),
        Ok(_) => None,
    }
}
