//! A web server for one file, the archives that it serves, and the folder that they are fetched to.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use md5::{Digest, Md5};
use qare_fetch::{
    ArchiveFormat, Event, ExpectedFile, FetchError, FetchOptions, Fetched, Limits, Outcome, Source, fetch,
};

/// The request of a client.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// The path, or the whole address in a request to a proxy.
    pub path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The first byte of the range, if the request has one.
    pub fn start(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// The answer of the server, and how much of it is sent before the server closes the connection.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: &'static str,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The number of bytes of the body that are sent.
    pub sent: usize,
    /// Whether the connection stays open afterwards, without further bytes.
    pub stall: bool,
}

impl Answer {
    pub fn new(status: &'static str, body: &[u8]) -> Self {
        let headers = vec![("Content-Length".to_owned(), body.len().to_string())];
        Self { status, headers, body: body.to_vec(), sent: body.len(), stall: false }
    }

    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.retain(|(found, _)| found != name);
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(found, _)| found != name);
        self
    }

    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.sent = bytes.min(self.body.len());
        self
    }
}

/// The answer of a server that follows the standard.
pub fn proper(content: &[u8], etag: &str, request: &Request) -> Answer {
    let unchanged = request.header("if-range").is_none_or(|validator| validator == etag);
    let answer = match request.start().filter(|_| unchanged) {
        Some(start) if start >= content.len() => {
            Answer::new("416 Range Not Satisfiable", b"").header("Content-Range", format!("bytes */{}", content.len()))
        }
        Some(start) => Answer::new("206 Partial Content", &content[start..])
            .header("Content-Range", format!("bytes {start}-{}/{}", content.len() - 1, content.len())),
        None => Answer::new("200 OK", content),
    };
    answer.header("ETag", etag)
}

/// A server on this machine. Dropping it ends it.
pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server that answers the n-th request, counted from 0, with the result of a function.
    pub fn start(answer: impl Fn(usize, &Request) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (log, stopped) = (requests.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut stalled = Vec::new();
            for connection in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let mut connection = connection.unwrap();
                let Some(request) = read_request(&connection) else { continue };
                let number = {
                    let mut log = log.lock().unwrap();
                    log.push(request.clone());
                    log.len() - 1
                };
                let answer = answer(number, &request);
                // The client may close the connection first.
                let _ = write_answer(&mut connection, &answer);
                if answer.stall {
                    stalled.push(connection);
                }
            }
        });
        Self { address, requests, stop, thread: Some(thread) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The first byte of the range of each request.
    pub fn starts(&self) -> Vec<Option<usize>> {
        self.requests().iter().map(Request::start).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the server failed");
    }
}

fn read_request(connection: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(connection).lines();
    let line = lines.next()?.ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let headers = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
        .collect();
    Some(Request { method, path, headers })
}

fn write_answer(connection: &mut TcpStream, answer: &Answer) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {}\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    connection.write_all(format!("{head}\r\n").as_bytes())?;
    connection.write_all(&answer.body[..answer.sent])?;
    connection.flush()
}

/// A folder `data` to fetch to, in a folder with nothing else.
pub struct Place {
    root: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn dir(&self) -> PathBuf {
        self.root().join("data")
    }

    /// Writes a file below `data`.
    pub fn write(&self, name: &str, contents: &[u8]) {
        let path = self.dir().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.dir().join(name)).unwrap()
    }

    /// All files and links of the outer folder, sorted. They include what is outside of `data`.
    pub fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.root().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else {
                    let path = entry.path();
                    let parts = path.strip_prefix(self.root()).unwrap().iter();
                    found.push(parts.map(|part| part.to_str().unwrap()).collect::<Vec<_>>().join("/"));
                }
            }
        }
        found.sort();
        found
    }

    /// The names of all files and folders directly in `data`.
    pub fn top(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.dir()) else { return Vec::new() };
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn fetch(&self, source: &Source, options: &FetchOptions) -> Result<Fetched, FetchError> {
        fetch(source, &self.dir(), options, &|_| {})
    }

    /// Fetches, and returns the result and the reported events.
    pub fn watch(&self, source: &Source, options: &FetchOptions) -> (Result<Fetched, FetchError>, Vec<String>) {
        let events = std::cell::RefCell::new(Vec::new());
        let result = fetch(source, &self.dir(), options, &|event| events.borrow_mut().push(told(event)));
        (result, events.into_inner())
    }
}

fn told(event: Event<'_>) -> String {
    format!("{event:?}")
}

/// Options with short waits.
pub fn hasty() -> FetchOptions {
    FetchOptions { tries: 3, backoff: Duration::from_millis(1), ..FetchOptions::default() }
}

pub fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that do not compress. They are the same in every run.
pub fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..count).map(|_| next()).collect()
}

/// The source of an archive of the dataset `toy`: a folder with `big.bin` and `deep/small.txt`.
pub fn source(archive: &[u8], format: ArchiveFormat, urls: Vec<String>) -> Source {
    let ending = if format == ArchiveFormat::Zip { "zip" } else { "tar.gz" };
    Source {
        name: "toy".to_owned(),
        urls,
        file_name: format!("toy.{ending}"),
        format,
        size: Some(archive.len() as u64),
        md5: md5(archive),
        folder: "toy".to_owned(),
        files: vec![
            ExpectedFile { path: "big.bin".to_owned(), size: Some(BIG as u64) },
            ExpectedFile { path: "deep/small.txt".to_owned(), size: None },
        ],
        limits: Limits { entries: 20, bytes: 500_000 },
    }
}

/// Size of `big.bin`.
pub const BIG: usize = 300_000;

/// The bytes of an entry of a tar file with any name and kind.
pub fn tar_entry(name: &str, kind: tar::EntryType, link: &str, contents: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    // `set_path` would refuse the names that the tests need.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_size(contents.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(contents);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An archive with the same beginning and the same size as another one, and another end.
pub fn another_version(archive: &[u8]) -> Vec<u8> {
    let mut bytes = archive.to_vec();
    bytes[1000..].iter_mut().for_each(|byte| *byte ^= 0x55);
    bytes
}

/// `toy.tar.gz` with further entries at the end.
pub fn tarball_with(more: &[Vec<u8>]) -> Vec<u8> {
    let file = tar::EntryType::Regular;
    let mut tar = [
        tar_entry("toy/", tar::EntryType::Directory, "", b""),
        tar_entry("toy/big.bin", file, "", &noise(BIG)),
        tar_entry("./toy/deep/small.txt", file, "", b"small"),
    ]
    .concat();
    tar.extend(more.concat());
    tar.resize(tar.len() + 1024, 0);
    gzip(&tar)
}

/// `toy.tar.gz`.
pub fn tarball() -> Vec<u8> {
    tarball_with(&[])
}

/// `toy.zip` with further entries at the end.
pub fn zip_with(more: impl FnOnce(&mut zip::ZipWriter<std::io::Cursor<Vec<u8>>>)) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    writer.add_directory("toy/", options).unwrap();
    writer.start_file("toy/big.bin", options).unwrap();
    writer.write_all(&noise(BIG)).unwrap();
    writer.start_file("toy/deep/small.txt", options).unwrap();
    writer.write_all(b"small").unwrap();
    more(&mut writer);
    writer.finish().unwrap().into_inner()
}

/// The files of the unpacked dataset.
pub const TOY: [&str; 2] = ["data/toy/big.bin", "data/toy/deep/small.txt"];

/// A server and its source. A function of the number of the request, the request and the archive gives each answer.
pub fn serve(answer: impl Fn(usize, &Request, &[u8]) -> Answer + Send + 'static) -> (Server, Source, Vec<u8>) {
    let archive = tarball();
    let content = archive.clone();
    let server = Server::start(move |number, request| answer(number, request, &content));
    let source = source(&archive, ArchiveFormat::TarGz, vec![server.url("/toy.tar.gz")]);
    (server, source, archive)
}

/// The number of bytes that were downloaded.
pub fn downloaded(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Unpacked { downloaded, .. } => *downloaded as usize,
        Outcome::AlreadyThere => panic!("nothing was downloaded"),
    }
}
