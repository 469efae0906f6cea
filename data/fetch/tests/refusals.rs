//! Servers that do not give the archive, and say so.

mod served;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::Duration;

use qare_fetch::{ArchiveFormat, FetchError, Source};
use served::{Answer, Place, TOY, hasty, proper, serve, source, tarball};

/// What a server shows with a refusal.
const PAGE: &[u8] = b"<html><title>Sorry</title></html>";

#[test]
fn refusals_are_not_asked_for_twice() {
    for (status, advice) in [
        ("400 Bad Request", "later"),
        ("401 Unauthorized", "in a browser"),
        ("402 Payment Required", "later"),
        ("403 Forbidden", "in a browser"),
        ("404 Not Found", "check the address"),
        ("405 Method Not Allowed", "later"),
        ("407 Proxy Authentication Required", "later"),
        ("410 Gone", "check the address"),
        ("429 Too Many Requests", "in some minutes"),
        ("451 Unavailable For Legal Reasons", "by law"),
        ("501 Not Implemented", "later"),
        ("511 Network Authentication Required", "asks for a login"),
    ] {
        let (server, source, archive) = serve(move |_, _, _| Answer::new(status, PAGE));
        for part in [0, 1000] {
            let place = Place::new();
            if part > 0 {
                place.write("toy.tar.gz.part", &archive[..part]);
            }
            let error = place.fetch(&source, &hasty()).unwrap_err();
            let FetchError::Status { status: found, .. } = &error else { panic!("{error}") };
            assert_eq!(found, status);
            assert!(error.to_string().contains(advice), "{advice} in {error}");
            assert_eq!(place.files().len(), usize::from(part > 0), "a part is kept as it was");
        }
        assert_eq!(server.requests().len(), 2, "one for each of {status}");
    }
}

#[test]
fn what_may_pass_is_asked_for_again() {
    for status in [
        "408 Request Timeout",
        "425 Too Early",
        "500 Internal Server Error",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "504 Gateway Timeout",
        "520 Unknown",
    ] {
        let (server, source, _) = serve(move |_, _, _| Answer::new(status, PAGE));
        let place = Place::new();
        let error = place.fetch(&source, &hasty()).unwrap_err();
        assert!(matches!(&error, FetchError::Status { status: found, .. } if found[..3] == status[..3]), "{error}");
        assert_eq!((place.files(), server.requests().len()), (Vec::new(), 3), "{status}");
    }
}

#[test]
fn a_short_wait_is_waited_for_and_a_long_one_told() {
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        let (server, source, _) = serve(move |number, request, content| match number {
            0 => Answer::new(status, b"").header("Retry-After", 1),
            // The date is in the past.
            1 => Answer::new(status, b"").header("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT"),
            _ => proper(content, "\"1\"", request),
        });
        let place = Place::new();
        let (fetched, events) = place.watch(&source, &hasty());
        fetched.unwrap();
        assert_eq!(place.files(), TOY);
        assert_eq!(server.requests().len(), 3);
        let waits: Vec<&str> = events.iter().filter_map(|event| Some(event.split_once("wait: ")?.1)).collect();
        assert_eq!(waits, ["1s }", "0ns }"]);

        for wait in ["3600", "Fri, 31 Dec 9999 23:59:59 GMT"] {
            let (server, source, _) = serve(move |_, _, _| Answer::new(status, b"").header("Retry-After", wait));
            let error = Place::new().fetch(&source, &hasty()).unwrap_err();
            let FetchError::Status { wait: Some(told), .. } = &error else { panic!("{error}") };
            assert!(*told >= Duration::from_secs(3600), "{told:?}");
            let told = format!("asks to wait {} s, expected the archive; run this again then", told.as_secs());
            assert!(error.to_string().contains(&told), "{told} in {error}");
            assert_eq!(server.requests().len(), 1);
        }
    }
}

#[test]
fn redirects_that_lead_nowhere_are_not_asked_for_twice() {
    for location in [Some("/toy.tar.gz"), Some("ftp://data.test/a"), Some("http://a b/"), Some("mailto:a@b.test"), None]
    {
        let (server, source, _) = serve(move |_, _, _| match location {
            Some(location) => Answer::new("302 Found", b"").header("Location", location),
            None => Answer::new("302 Found", b""),
        });
        let (fetched, events) = Place::new().watch(&source, &hasty());
        let error = fetched.unwrap_err();
        assert!(matches!(error, FetchError::BadAddress { .. }), "{location:?}: {error}");
        assert!(!events.iter().any(|event| event.starts_with("Retrying")), "{events:#?}");
        assert!(error.to_string().contains("leads"), "{error}");
        assert!(server.requests().len() <= 11);
    }
}

#[test]
fn a_server_of_something_else_is_not_asked_twice() {
    for (scheme, greeting, problem) in [
        ("http", "220 mail.test ESMTP ready\r\n\r\n", "not HTTP"),
        ("https", "HTTP/1.1 400 Bad Request\r\n\r\n", "the encrypted connection failed"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{scheme}://{}/toy.tar.gz", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            connection.write_all(greeting.as_bytes()).unwrap();
            // The client ends the connection.
            let _ = std::io::copy(&mut connection, &mut std::io::sink());
        });
        let place = Place::new();
        let (fetched, events) = place.watch(&source(&tarball(), ArchiveFormat::TarGz, vec![url]), &hasty());
        let error = fetched.unwrap_err();
        assert!(matches!(&error, FetchError::Unreachable { problem: found, .. } if found.contains(problem)), "{error}");
        assert_eq!(events.len(), 1, "{events:#?}");
        assert_eq!(place.files(), [""; 0]);
        server.join().unwrap();
    }
}

#[test]
fn nobody_is_asked_once_but_waited_for_in_the_middle() {
    let (server, source, _) = serve(|_, request, content| proper(content, "\"1\"", request).cut_after(100_000));
    // A listener that accepts one connection, and then no other.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/toy.tar.gz", listener.local_addr().unwrap());
    let upstream = server.url("/toy.tar.gz").replace("http://", "").replace("/toy.tar.gz", "");
    let once = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        drop(listener);
        // The request is read to its end. A connection that is closed with unread bytes is reset, and the answer may be lost.
        let mut request = BufReader::new(client.try_clone().unwrap());
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert_ne!(request.read_line(&mut line).unwrap(), 0, "the request has an end");
        }
        let mut there = std::net::TcpStream::connect(upstream).unwrap();
        there.write_all(b"GET /toy.tar.gz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let _ = std::io::copy(&mut there, &mut client);
    });
    let source = Source { urls: vec![url], ..source };
    let place = Place::new();
    let (fetched, events) = place.watch(&source, &hasty());
    let error = fetched.unwrap_err();
    assert!(matches!(&error, FetchError::Cut { have: 100_000, .. }), "{error}");
    let tries = |events: &[String]| events.iter().filter(|event| event.starts_with("Connecting")).count();
    assert_eq!(tries(&events), 3, "{events:#?}");
    once.join().unwrap();
    // The next call reaches no server at all, and keeps the bytes.
    let (fetched, events) = place.watch(&source, &hasty());
    let error = fetched.unwrap_err();
    assert!(matches!(&error, FetchError::Cut { have: 100_000, .. }), "{error}");
    assert_eq!(tries(&events), 1, "{events:#?}");
    assert_eq!(place.read("toy.tar.gz.part").len(), 100_000);
}
