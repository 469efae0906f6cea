//! Downloads through the proxies that the environment names. Each runs in a process of its own with that environment.

mod served;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use qare_fetch::{ArchiveFormat, Event, FetchError};
use served::{Answer, Place, Request, Server, TOY, hasty, proper, source, tarball};

/// Variables with the address and the folder of the download that [`fetch_with`] starts.
const CHILD: [&str; 2] = ["QARE_TEST_PROXY_URL", "QARE_TEST_PROXY_DIR"];

/// All variables that name proxies.
const VARIABLES: [&str; 8] =
    ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"];

/// The result of a download.
struct Fetched {
    place: Place,
    /// The kind and the text of the error.
    error: Option<(String, String)>,
    tries: usize,
}

impl Fetched {
    fn assert_toy(&self) {
        assert_eq!(self.error, None);
        assert_eq!(self.place.files()[..2], TOY);
    }

    /// The text of the error. Asserts its kind, and that the download left nothing.
    fn error(&self, kind: &str) -> &str {
        let (found, text) = self.error.as_ref().expect("nothing failed");
        assert_eq!(found, kind, "{text}");
        assert_eq!(self.place.files(), ["result"]);
        text
    }
}

/// This is the process that downloads, and no test of its own.
#[test]
fn a_download_with_an_environment() {
    let [Ok(url), Ok(dir)] = CHILD.map(std::env::var) else { return };
    let tries = std::cell::Cell::new(0);
    let count = |event: Event<'_>| tries.set(tries.get() + usize::from(matches!(event, Event::Connecting { .. })));
    let source = source(&tarball(), ArchiveFormat::TarGz, vec![url]);
    let fetched = qare_fetch::fetch(&source, &Path::new(&dir).join("data"), &hasty(), &count);
    let told = match fetched {
        Ok(_) => String::new(),
        Err(error @ FetchError::Proxy { .. }) => format!("Proxy\n{error}"),
        Err(error @ FetchError::Unreachable { .. }) => format!("Unreachable\n{error}"),
        Err(error @ FetchError::NotArchive { .. }) => format!("NotArchive\n{error}"),
        Err(error @ FetchError::Status { .. }) => format!("Status\n{error}"),
        Err(error) => format!("another\n{error}"),
    };
    std::fs::write(Path::new(&dir).join("result"), format!("{}\n{told}", tries.get())).unwrap();
}

/// Downloads from an address in a process that has these variables, and no others that name proxies.
fn fetch_with(variables: &[(&str, &str)], url: &str) -> Fetched {
    let place = Place::new();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_download_with_an_environment"]).stdout(Stdio::null()).stderr(Stdio::null());
    VARIABLES.iter().for_each(|name| _ = command.env_remove(name));
    command.envs(variables.iter().copied()).env(CHILD[0], url).env(CHILD[1], place.root());
    assert!(command.status().unwrap().success());
    let result = std::fs::read_to_string(place.root().join("result")).unwrap();
    let mut lines = result.splitn(3, '\n');
    let tries = lines.next().unwrap().parse().unwrap();
    let error =
        lines.next().filter(|kind| !kind.is_empty()).map(|kind| (kind.to_owned(), lines.next().unwrap().to_owned()));
    Fetched { place, error, tries }
}

/// A name that only a proxy can look up (RFC 6761, 6.4).
const URL: &str = "http://data.invalid/toy.tar.gz?a=b";

fn serve(answer: impl Fn(usize, &Request, &[u8]) -> Answer + Send + 'static) -> Server {
    let archive = tarball();
    Server::start(move |number, request| answer(number, request, &archive))
}

fn proper_server() -> Server {
    serve(|_, request, archive| proper(archive, "\"1\"", request))
}

fn asked(server: &Server) -> Vec<String> {
    server.requests().iter().map(|request| format!("{} {}", request.method, request.path)).collect()
}

/// An address where nobody listens: the port was bound and is free again.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn an_http_address_is_asked_for_as_a_whole() {
    for variable in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        let proxy = serve(|number, request, archive| {
            let answer = proper(archive, "\"1\"", request);
            if number == 0 { answer.cut_after(100_000) } else { answer }
        });
        // People write the address with a path, or without a scheme.
        let value = if variable == "http_proxy" { proxy.url("/") } else { proxy.address().to_string() };
        let fetched = fetch_with(&[(variable, &value)], URL);
        fetched.assert_toy();
        assert_eq!(asked(&proxy), [format!("GET {URL}"), format!("GET {URL}")], "{variable}");
        assert_eq!(proxy.starts(), [None, Some(100_000)]);
        let requests = proxy.requests();
        assert_eq!(requests[0].header("host"), Some("data.invalid"));
        assert_eq!(requests[0].header("proxy-authorization"), None);
        assert_eq!(requests[1].header("if-range"), Some("\"1\""));
    }
}

#[test]
fn ports_and_redirects_stay_in_the_address() {
    let proxy = serve(|number, request, archive| match number {
        0 => Answer::new("302 Found", b"").header("Location", "/b"),
        1 => Answer::new("302 Found", b"").header("Location", "http://other.invalid/c"),
        _ => proper(archive, "\"1\"", request),
    });
    fetch_with(&[("http_proxy", &proxy.url(""))], "http://data.invalid:8080/a").assert_toy();
    let expected = ["GET http://data.invalid:8080/a", "GET http://data.invalid:8080/b", "GET http://other.invalid/c"];
    assert_eq!(asked(&proxy), expected);
}

#[test]
fn an_https_address_is_connected_to() {
    let proxy = serve(|_, _, _| Answer::new("403 Forbidden", b""));
    let other = proper_server();
    let address = proxy.address().to_string();
    for variable in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        let variables = [(variable, address.as_str()), ("http_proxy", &other.url(""))];
        let fetched = fetch_with(&variables, "https://data.invalid/toy.tar.gz");
        let error = fetched.error("Proxy");
        for part in ["403", &address, variable, "https://data.invalid/toy.tar.gz"] {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert_eq!(fetched.tries, 1);
    }
    assert_eq!(asked(&proxy), ["CONNECT data.invalid:443"; 4]);
    assert_eq!(other.requests().len(), 0);
}

#[test]
fn a_redirect_to_https_takes_its_own_proxy() {
    let (plain, secure) = (
        serve(|_, _, _| Answer::new("301 Moved Permanently", b"").header("Location", "https://data.invalid:444/a")),
        serve(|_, _, _| Answer::new("403 Forbidden", b"")),
    );
    let variables = [("http_proxy", &*plain.url("")), ("https_proxy", &*secure.url(""))];
    fetch_with(&variables, URL).error("Proxy");
    assert_eq!(asked(&plain), [format!("GET {URL}")]);
    assert_eq!(asked(&secure), ["CONNECT data.invalid:444"]);
}

#[test]
fn a_proxy_is_told_name_and_password() {
    // RFC 7617, 2: `Aladdin` and `open sesame`.
    const KNOWN: &str = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
    let proxy = serve(|_, request, archive| match (request.header("proxy-authorization"), request.method.as_str()) {
        (Some(KNOWN), "GET") => proper(archive, "\"1\"", request),
        (Some(KNOWN), _) => Answer::new("403 Forbidden", b""),
        _ => Answer::new("407 Proxy Authentication Required", b"<html>Who are you?</html>"),
    });
    let address = proxy.address();
    let known = format!("http://Aladdin:open%20sesame@{address}");
    fetch_with(&[("http_proxy", &known)], URL).assert_toy();
    assert!(fetch_with(&[("https_proxy", &known)], "https://data.invalid/a").error("Proxy").contains("403"));

    for (variable, url) in [("http_proxy", URL), ("https_proxy", "https://data.invalid/a")] {
        let before = proxy.requests().len();
        let fetched = fetch_with(&[(variable, &proxy.url(""))], url);
        let error = fetched.error("Proxy");
        for part in ["asks for a name and a password", variable, &format!("http://NAME:PASSWORD@{address}")] {
            assert!(error.contains(part), "{part} in {error}");
        }
        let fetched = fetch_with(&[(variable, &format!("http://Aladdin:secret@{address}"))], url);
        let error = fetched.error("Proxy");
        assert!(error.contains("does not accept the name and the password") && error.contains(variable), "{error}");
        assert!(!error.contains("secret"), "{error}");
        assert_eq!(proxy.requests().len() - before, 2, "one for each");
    }
}

#[test]
fn a_proxy_that_is_busy_is_asked_again() {
    let proxy = serve(|_, _, _| Answer::new("503 Service Unavailable", b""));
    let variables = [("all_proxy", &*proxy.url(""))];
    assert!(fetch_with(&variables, "https://data.invalid/a").error("Proxy").contains("503"));
    assert_eq!(proxy.requests().len(), 3);
    assert!(fetch_with(&variables, URL).error("Status").contains("503"));
    assert_eq!(proxy.requests().len(), 6);
}

#[test]
fn a_page_of_the_proxy_is_no_archive() {
    let proxy = serve(|_, _, _| Answer::new("200 OK", b"<html><title>Blocked</title></html>"));
    let fetched = fetch_with(&[("http_proxy", &proxy.url(""))], URL);
    assert!(fetched.error("NotArchive").contains("an HTML page, \"Blocked\""));
    assert_eq!(proxy.requests().len(), 1);
}

#[test]
fn a_proxy_that_is_not_there_is_one_message() {
    let address = nobody().to_string();
    for (value, why) in
        [(address.as_str(), address.as_str()), ("http://proxy.invalid:3128", "proxy.invalid was not found")]
    {
        for (variable, url) in [("http_proxy", URL), ("https_proxy", "https://data.invalid/a")] {
            let fetched = fetch_with(&[(variable, value)], url);
            let error = fetched.error("Proxy");
            for part in [why, variable, "cannot be reached", "no_proxy"] {
                assert!(error.contains(part), "{part} in {error}");
            }
            assert_eq!(fetched.tries, 1, "{error}");
        }
    }
}

#[test]
fn a_variable_that_names_no_proxy_is_one_message() {
    for value in ["http://", "gopher://p:1", "http://name:secret@p:port", "http://a secret"] {
        let fetched = fetch_with(&[("http_proxy", value)], URL);
        let error = fetched.error("Proxy");
        assert!(error.contains("http_proxy") && error.contains("http://HOST:PORT"), "{error}");
        assert!(!error.contains("secret"), "{error}");
        assert_eq!(fetched.tries, 1);
    }
}

#[test]
fn what_needs_no_proxy_gets_none() {
    let proxy = proper_server();
    for (variable, list) in [("no_proxy", "other.invalid, .data.invalid"), ("NO_PROXY", "data.invalid:80")] {
        let fetched = fetch_with(&[("http_proxy", &proxy.url("")), (variable, list)], URL);
        let error = fetched.error("Unreachable");
        assert!(error.contains("the name data.invalid was not found"), "{error}");
        assert_eq!(fetched.tries, 1, "a name that nobody has is looked up once");
    }
    assert_eq!(proxy.requests().len(), 0);
    fetch_with(&[("http_proxy", &proxy.url("")), ("no_proxy", "other.invalid,data.invalid:81")], URL).assert_toy();
    assert_eq!(proxy.requests().len(), 1);
    // Requests to this machine use no proxy.
    let server = proper_server();
    let closed = nobody().to_string();
    fetch_with(&[("http_proxy", &closed), ("all_proxy", &closed)], &server.url("/toy.tar.gz")).assert_toy();
}

/// A SOCKS5 proxy (RFC 1928) for one connection to a server. Returns its address, and a
/// thread that ends with the host and the port that the client asks for.
fn socks(server: SocketAddr) -> (SocketAddr, std::thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut hello = [0; 2];
        client.read_exact(&mut hello).unwrap();
        client.read_exact(&mut vec![0; hello[1].into()]).unwrap();
        client.write_all(&[5, 0]).unwrap();
        let mut asked = vec![0; 5];
        client.read_exact(&mut asked).unwrap();
        // The request has the length of the name, the name and the port.
        let mut rest = vec![0; usize::from(asked[4]) + 2];
        client.read_exact(&mut rest).unwrap();
        asked.extend(rest);
        client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        let mut there = TcpStream::connect(server).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), there.try_clone().unwrap());
        let sending = std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let _ = std::io::copy(&mut there, &mut client);
        drop((client.shutdown(std::net::Shutdown::Both), sending.join()));
        asked
    });
    (address, thread)
}

#[test]
fn socks_proxies_make_connections() {
    let server = proper_server();
    let (address, proxy) = socks(server.address());
    fetch_with(&[("all_proxy", &format!("socks5h://{address}"))], "http://data.invalid:81/toy.tar.gz").assert_toy();
    let expected = [&[5, 1, 0, 3, 12][..], b"data.invalid", &[0, 81]].concat();
    assert_eq!(proxy.join().unwrap(), expected);
    assert_eq!(asked(&server), ["GET /toy.tar.gz"]);
}
