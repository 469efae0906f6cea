//! Requests in absolute form, for proxies: `GET http://host/path` (RFC 9112, 3.2.2).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::http::Uri;
use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};
use ureq::{Error, Proxy};

/// A connection to a proxy that rewrites requests without body to the absolute form.
#[derive(Debug)]
pub(super) struct AbsoluteForm {
    inner: Box<dyn Transport>,
    /// Scheme, host and port.
    target: String,
    /// The `Proxy-Authorization` header line, or nothing.
    authorization: String,
    /// Whether the next output is the start of a request.
    at_start: bool,
}

impl AbsoluteForm {
    /// Wraps a connection to `proxy`, for requests to the host of `uri`.
    pub(super) fn new(inner: Box<dyn Transport>, uri: &Uri, proxy: &Proxy) -> Self {
        // Name and password of the address are for the server; another header contains them.
        let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        Self { inner, target: format!("http://{host}"), authorization: authorization(proxy), at_start: true }
    }

    fn rewritten(&self, head: &[u8]) -> Option<Vec<u8>> {
        let path = 1 + head.iter().position(|&byte| byte == b' ')?;
        let headers = 2 + head.windows(2).position(|bytes| bytes == b"\r\n")?;
        let (method, line, rest) = (&head[..path], &head[path..headers], &head[headers..]);
        Some([method, self.target.as_bytes(), line, self.authorization.as_bytes(), rest].concat())
    }
}

impl Transport for AbsoluteForm {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if !std::mem::take(&mut self.at_start) {
            return self.inner.transmit_output(amount, timeout);
        }
        let head = self.inner.buffers().output()[..amount].to_vec();
        let head = self.rewritten(&head).ok_or_else(|| Error::BadUri("the address is too long".to_owned()))?;
        let mut rest = head.as_slice();
        while !rest.is_empty() {
            let output = self.inner.buffers().output();
            let (now, later) = rest.split_at(rest.len().min(output.len()));
            output[..now.len()].copy_from_slice(now);
            self.inner.transmit_output(now.len(), timeout)?;
            rest = later;
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        // Output after an answer starts another request.
        self.at_start = true;
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}

fn authorization(proxy: &Proxy) -> String {
    if proxy.username().is_none() && proxy.password().is_none() {
        return String::new();
    }
    let (name, password) = (proxy.username().unwrap_or_default(), proxy.password().unwrap_or_default());
    format!("Proxy-Authorization: Basic {}\r\n", BASE64_STANDARD.encode(format!("{name}:{password}")))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use ureq::unversioned::transport::LazyBuffers;

    use super::*;

    /// A transport that records its output.
    #[derive(Debug)]
    struct Kept {
        buffers: LazyBuffers,
        sent: Arc<Mutex<Vec<u8>>>,
    }

    impl Transport for Kept {
        fn buffers(&mut self) -> &mut dyn Buffers {
            &mut self.buffers
        }

        fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
            self.sent.lock().unwrap().extend_from_slice(&self.buffers.output()[..amount]);
            Ok(())
        }

        fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
            Ok(true)
        }

        fn is_open(&mut self) -> bool {
            true
        }
    }

    fn sent(uri: &str, proxy: &str, size: usize, pieces: &[&str]) -> String {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let kept = Box::new(Kept { buffers: LazyBuffers::new(16, size), sent: sent.clone() });
        let mut transport = AbsoluteForm::new(kept, &uri.parse().unwrap(), &Proxy::new(proxy).unwrap());
        for piece in pieces {
            if piece.is_empty() {
                transport.await_input(NextTimeout::default()).unwrap();
                continue;
            }
            transport.buffers().output()[..piece.len()].copy_from_slice(piece.as_bytes());
            transport.transmit_output(piece.len(), NextTimeout::default()).unwrap();
        }
        String::from_utf8(sent.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn each_request_gets_the_whole_address() {
        let pieces = ["GET /a?b=/c HTTP/1.1\r\nA: b\r\n", "C: d\r\n\r\n", "", "GET / HTTP/1.1\r\n\r\n"];
        let expected =
            "GET http://x.test:81/a?b=/c HTTP/1.1\r\nA: b\r\nC: d\r\n\r\nGET http://x.test:81/ HTTP/1.1\r\n\r\n";
        // The small buffer has room for each piece, but not for the rewritten request.
        for size in [28, 1000] {
            assert_eq!(sent("http://user:secret@x.test:81/a", "http://p:1", size, &pieces), expected);
        }
    }

    #[test]
    fn the_proxy_is_told_name_and_password() {
        // RFC 7617, 2: `Aladdin` and `open sesame`.
        let found =
            sent("http://x.test/a", "http://Aladdin:open%20sesame@p:1", 1000, &["GET /a HTTP/1.1\r\nA: b\r\n\r\n"]);
        let expected =
            "GET http://x.test/a HTTP/1.1\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\nA: b\r\n\r\n";
        assert_eq!(found, expected);
    }
}
