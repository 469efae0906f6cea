//! Downloads from servers that do what servers do.

mod served;

use std::time::Duration;

use qare_fetch::{ArchiveFormat, FetchError, FetchOptions, Outcome, Source};
use served::{
    Answer, BIG, Place, Server, TOY, another_version, downloaded, hasty, md5, noise, proper, serve, source, tarball,
    zip_with,
};

fn assert_toy(place: &Place) {
    assert_eq!(place.files(), TOY);
    assert_eq!(place.read("toy/big.bin"), noise(BIG));
    assert_eq!(place.read("toy/deep/small.txt"), b"small");
    assert_eq!(place.top(), ["toy"]);
}

#[test]
fn a_tarball_is_downloaded_and_unpacked() {
    let (server, source, archive) = serve(|_, request, content| proper(content, "\"1\"", request));
    let place = Place::new();
    let (fetched, events) = place.watch(&source, &hasty());
    let fetched = fetched.unwrap();
    assert_toy(&place);
    assert_eq!(fetched.folder, place.dir().join("toy"));
    assert_eq!(
        fetched.outcome,
        Outcome::Unpacked { downloaded: archive.len() as u64, files: 2, bytes: BIG as u64 + 5, archive: None }
    );
    let total = archive.len();
    assert_eq!(events[0], format!("Connecting {{ url: {:?} }}", source.urls[0]));
    assert_eq!(events[1], format!("Downloading {{ done: 0, total: Some({total}) }}"));
    for phase in [
        format!("Downloading {{ done: {total}, total: Some({total}) }}"),
        format!("Verifying {{ done: {total}, total: {total} }}"),
    ] {
        assert!(events.contains(&phase), "{phase} in {events:#?}");
    }
    assert_eq!(events.last().unwrap(), &format!("Unpacking {{ done: {total}, total: {total} }}"));
    assert_eq!(server.requests()[0].header("accept-encoding"), Some("identity"));
    assert!(server.requests()[0].header("user-agent").unwrap().starts_with("qare/"));
}

#[test]
fn a_zip_is_downloaded_and_unpacked() {
    let archive = zip_with(|_| {});
    let content = archive.clone();
    let server = Server::start(move |_, request| proper(&content, "\"1\"", request));
    let source = source(&archive, ArchiveFormat::Zip, vec![server.url("/toy.zip")]);
    let place = Place::new();
    place.fetch(&source, &hasty()).unwrap();
    assert_toy(&place);
}

#[test]
fn a_cut_connection_goes_on_where_it_was() {
    let (server, source, archive) = serve(|number, request, content| {
        let answer = proper(content, "\"1\"", request);
        if number == 0 { answer.cut_after(100_000) } else { answer }
    });
    let place = Place::new();
    let (fetched, events) = place.watch(&source, &hasty());
    assert_toy(&place);
    assert_eq!(server.starts(), [None, Some(100_000)]);
    assert_eq!(server.requests()[1].header("if-range"), Some("\"1\""));
    assert_eq!(downloaded(&fetched.unwrap().outcome), archive.len(), "every byte came once");
    assert!(events.iter().any(|event| event.starts_with("Retrying")), "{events:#?}");
}

#[test]
fn a_later_call_goes_on_where_the_first_gave_up() {
    let (server, source, archive) = serve(|number, request, content| {
        let answer = proper(content, "\"1\"", request);
        // The first request brings some bytes, and two more bring none. Then all three tries are used.
        if number < 3 { answer.cut_after(if number == 0 { 100_000 } else { 0 }) } else { answer }
    });
    let place = Place::new();
    let error = place.fetch(&source, &hasty()).unwrap_err();
    assert!(matches!(error, FetchError::Cut { have: 100_000, .. }), "{error}");
    assert!(error.to_string().contains("run this again to go on"), "{error}");
    assert_eq!(place.files(), ["data/toy.tar.gz.part", "data/toy.tar.gz.part.origin"]);
    assert_eq!(place.read("toy.tar.gz.part"), archive[..100_000]);

    let fetched = place.fetch(&source, &hasty()).unwrap();
    assert_toy(&place);
    assert_eq!(server.starts(), [None, Some(100_000), Some(100_000), Some(100_000)]);
    assert_eq!(downloaded(&fetched.outcome), archive.len() - 100_000);
}

#[test]
fn tries_that_bring_something_do_not_count() {
    let (server, source, archive) =
        serve(|_, request, content| proper(content, "\"1\"", request).cut_after(content.len() / 9));
    let place = Place::new();
    let fetched = place.fetch(&source, &hasty()).unwrap();
    assert_toy(&place);
    assert!(server.requests().len() >= 9);
    assert_eq!(downloaded(&fetched.outcome), archive.len());
}

#[test]
fn a_server_that_falls_silent_is_asked_again() {
    let (server, source, _) = serve(|number, request, content| {
        let answer = proper(content, "\"1\"", request);
        if number == 0 { Answer { stall: true, ..answer.cut_after(50_000) } } else { answer }
    });
    let place = Place::new();
    place.fetch(&source, &FetchOptions { read_timeout: Duration::from_millis(300), ..hasty() }).unwrap();
    assert_toy(&place);
    assert_eq!(server.starts(), [None, Some(50_000)]);
}

#[test]
fn a_server_without_ranges_sends_all_again() {
    let (server, source, archive) = serve(|number, _, content| {
        let answer = Answer::new("200 OK", content);
        if number == 0 { answer.cut_after(100_000) } else { answer }
    });
    let place = Place::new();
    let fetched = place.fetch(&source, &hasty()).unwrap();
    assert_toy(&place);
    assert_eq!(server.starts(), [None, Some(100_000)]);
    assert_eq!(server.requests()[1].header("if-range"), None, "there is no validator");
    assert_eq!(downloaded(&fetched.outcome), archive.len() + 100_000);
}

#[test]
fn a_file_that_changed_is_downloaded_afresh() {
    // Both files have the same size, so only the version shows the change.
    let (server, source, archive) = serve(|number, request, content| {
        if number == 0 {
            proper(&another_version(content), "\"old\"", request).cut_after(100_000)
        } else {
            proper(content, "\"new\"", request)
        }
    });
    let place = Place::new();
    let fetched = place.fetch(&source, &hasty()).unwrap();
    assert_toy(&place);
    assert_eq!(server.requests()[1].header("if-range"), Some("\"old\""));
    assert_eq!(downloaded(&fetched.outcome), archive.len() + 100_000);
}

#[test]
fn a_changed_file_is_noticed_when_the_server_ignores_if_range() {
    let (server, source, _) = serve(|number, request, content| match (number, request.start()) {
        (0, _) => proper(&another_version(content), "\"old\"", request).cut_after(100_000),
        (_, Some(start)) => Answer::new("206 Partial Content", &content[start..])
            .header("Content-Range", format!("bytes {start}-{}/{}", content.len() - 1, content.len()))
            .header("ETag", "\"new\""),
        (_, None) => proper(content, "\"new\"", request),
    });
    let place = Place::new();
    place.fetch(&source, &hasty()).unwrap();
    assert_toy(&place);
    assert_eq!(server.starts(), [None, Some(100_000), None]);
}

#[test]
fn a_range_other_than_asked_for_is_not_taken() {
    for (range, length) in [
        ("bytes 5-TOTAL/SIZE", None),
        ("bytes 100000-5/SIZE", None),
        ("bytes 100000-TOTAL/7", None),
        ("lines 100000-TOTAL/SIZE", None),
        ("", None),
        // The range is that of the rest, but the body is the whole file.
        ("bytes 100000-TOTAL/SIZE", Some("SIZE")),
    ] {
        let (server, source, archive) = serve(move |number, request, content| {
            let filled = |text: &str| {
                let (last, size) = (content.len() - 1, content.len());
                text.replace("TOTAL", &last.to_string()).replace("SIZE", &size.to_string())
            };
            let answer = proper(content, "\"1\"", request);
            match (number, length) {
                (0, _) => answer.cut_after(100_000),
                (1, Some(length)) => {
                    let body = Answer { body: content.to_vec(), sent: content.len(), ..answer };
                    body.header("Content-Range", filled(range)).header("Content-Length", filled(length))
                }
                (1, None) if range.is_empty() => answer.without("Content-Range"),
                (1, None) => answer.header("Content-Range", filled(range)),
                _ => answer,
            }
        });
        let place = Place::new();
        let fetched = place.fetch(&source, &hasty()).unwrap();
        assert_toy(&place);
        assert_eq!(server.starts(), [None, Some(100_000), None], "{range}");
        assert_eq!(downloaded(&fetched.outcome), archive.len() + 100_000, "{range}");
    }
}

#[test]
fn a_range_that_ends_early_is_gone_on_with() {
    let (server, source, archive) = serve(|_, request, content| {
        let Some(start) = request.start() else { return proper(content, "\"1\"", request).cut_after(100_000) };
        let end = content.len().min(start + 100_000);
        Answer::new("206 Partial Content", &content[start..end])
            .header("Content-Range", format!("bytes {start}-{}/{}", end - 1, content.len()))
    });
    let place = Place::new();
    let fetched = place.fetch(&source, &hasty()).unwrap();
    assert_toy(&place);
    assert_eq!(server.starts(), [None, Some(100_000), Some(200_000), Some(300_000)]);
    assert_eq!(downloaded(&fetched.outcome), archive.len());
}

#[test]
fn a_part_that_is_too_long_is_downloaded_afresh() {
    let (server, source, archive) = serve(|_, request, content| proper(content, "\"1\"", request));
    let place = Place::new();
    place.write("toy.tar.gz.part", &[&archive[..], &[1; 10]].concat());
    place.fetch(&source, &hasty()).unwrap();
    assert_toy(&place);
    assert_eq!(server.starts(), [Some(archive.len() + 10), None]);
}

#[test]
fn a_complete_part_needs_no_server() {
    let archive = tarball();
    let place = Place::new();
    place.write("toy.tar.gz.part", &archive);
    place.write(".unpacking-toy/toy/big.bin", b"what a killed call left");
    place.write(".old-toy/big.bin", b"and another");
    let source = source(&archive, ArchiveFormat::TarGz, vec!["http://127.0.0.1:1/toy.tar.gz".to_owned()]);
    let fetched = place.fetch(&source, &hasty()).unwrap();
    assert_eq!(downloaded(&fetched.outcome), 0);
    assert_toy(&place);
}

#[test]
fn a_size_that_nobody_knows_is_found_out() {
    // An earlier call was killed after the last byte, before it knew that the file was complete.
    let (server, mut source, archive) = serve(|_, request, content| proper(content, "\"1\"", request));
    source.size = None;
    let place = Place::new();
    place.write("toy.tar.gz.part", &archive);
    let fetched = place.fetch(&source, &hasty()).unwrap();
    assert_toy(&place);
    assert_eq!(server.starts(), [Some(archive.len())]);
    assert_eq!(downloaded(&fetched.outcome), 0);
}

#[test]
fn an_archive_without_a_length_is_taken_as_it_comes() {
    let (_server, source, archive) = serve(|_, _, content| Answer::new("200 OK", content).without("Content-Length"));
    for size in [None, source.size] {
        let place = Place::new();
        let fetched = place.fetch(&Source { size, ..source.clone() }, &hasty()).unwrap();
        assert_eq!(downloaded(&fetched.outcome), archive.len());
        assert_toy(&place);
    }
}

#[test]
fn a_cut_is_seen_without_a_length_too() {
    let (server, source, _) = serve(|number, request, content| {
        let answer = proper(content, "\"1\"", request).without("Content-Length");
        if number == 0 { answer.cut_after(100_000) } else { answer }
    });
    let place = Place::new();
    place.fetch(&source, &hasty()).unwrap();
    assert_toy(&place);
    assert_eq!(server.starts(), [None, Some(100_000)]);
}

#[test]
fn a_wrong_checksum_leaves_nothing() {
    let (server, mut source, archive) = serve(|_, request, content| proper(content, "\"1\"", request));
    source.md5 = "0".repeat(32);
    let place = Place::new();
    let error = place.fetch(&source, &hasty()).unwrap_err();
    let FetchError::Checksum { url, expected, found } = &error else { panic!("{error}") };
    assert_eq!((url, expected, found), (&server.url("/toy.tar.gz"), &source.md5, &md5(&archive)));
    for part in [url, expected, found, "nothing of it is kept"] {
        assert!(error.to_string().contains(part), "{part} in {error}");
    }
    assert_eq!(place.files(), [""; 0]);
}

#[test]
fn a_length_that_is_too_long_is_a_cut() {
    let (server, mut source, archive) =
        serve(|_, _, content| Answer::new("200 OK", content).header("Content-Length", content.len() + 50));
    source.size = None;
    let place = Place::new();
    let error = place.fetch(&source, &hasty()).unwrap_err();
    let FetchError::Cut { have, total, .. } = error else { panic!("{error}") };
    assert_eq!((have, total), (archive.len() as u64, Some(archive.len() as u64 + 50)));
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_length_that_is_too_short_is_not_the_archive() {
    let (_server, mut source, _) =
        serve(|_, _, content| Answer::new("200 OK", content).header("Content-Length", content.len() - 50));
    let place = Place::new();
    let error = place.fetch(&source, &hasty()).unwrap_err();
    assert!(matches!(error, FetchError::WrongSize { at_least: false, .. }), "{error}");
    // Without a known size, the checksum shows the difference.
    source.size = None;
    let error = place.fetch(&source, &hasty()).unwrap_err();
    assert!(matches!(error, FetchError::Checksum { .. }), "{error}");
    assert_eq!(place.files(), [""; 0]);
}

#[test]
fn a_server_that_never_ends_is_stopped() {
    let (_server, source, _) =
        serve(|_, _, content| Answer::new("200 OK", &content.repeat(3)).without("Content-Length"));
    let place = Place::new();
    let error = place.fetch(&source, &hasty()).unwrap_err();
    assert!(matches!(error, FetchError::WrongSize { at_least: true, .. }), "{error}");
    assert_eq!(place.files(), [""; 0]);
}

#[test]
fn redirects_are_followed_with_their_range() {
    let (server, source, archive) = serve(|_, request, content| {
        if request.path == "/toy.tar.gz" {
            Answer::new("302 Found", b"").header("Location", "/elsewhere/a.bin?x=1")
        } else {
            proper(content, "\"1\"", request)
        }
    });
    let place = Place::new();
    place.write("toy.tar.gz.part", &archive[..1000]);
    let fetched = place.fetch(&source, &hasty()).unwrap();
    assert_toy(&place);
    assert_eq!(server.requests()[1].path, "/elsewhere/a.bin?x=1");
    assert_eq!(server.starts(), [Some(1000), Some(1000)]);
    assert_eq!(downloaded(&fetched.outcome), archive.len() - 1000);
}

#[test]
fn endless_redirects_end() {
    let (_server, source, _) = serve(|_, _, _| Answer::new("302 Found", b"").header("Location", "/toy.tar.gz"));
    let error = Place::new().fetch(&source, &hasty()).unwrap_err();
    assert!(matches!(error, FetchError::BadAddress { .. }), "{error}");
}

#[test]
fn the_next_address_is_tried_and_goes_on() {
    let (server, mut source, archive) = serve(|_, request, content| match request.path.as_str() {
        "/gone" => Answer::new("404 Not Found", b""),
        "/weak" if request.start().is_none() => proper(content, "\"weak\"", request).cut_after(100_000),
        "/weak" => proper(content, "\"weak\"", request).cut_after(0),
        _ => proper(content, "\"strong\"", request),
    });
    source.urls = ["/gone", "/weak", "/strong"].map(|path| server.url(path)).to_vec();
    let place = Place::new();
    let fetched = place.fetch(&source, &hasty()).unwrap();
    assert_toy(&place);
    assert_eq!(downloaded(&fetched.outcome), archive.len(), "what the weak server brought was used");
    assert_eq!(server.requests().last().unwrap().header("if-range"), None, "versions are each server's own");
}

#[test]
fn a_mirror_replaces_all_addresses() {
    let (server, mut source, _) = serve(|_, request, content| proper(content, "\"1\"", request));
    source.urls = vec!["http://127.0.0.1:1/unused".to_owned()];
    let place = Place::new();
    place.fetch(&source, &FetchOptions { url: Some(server.url("/mirror?name=a")), ..hasty() }).unwrap();
    assert_toy(&place);
    assert_eq!(server.requests()[0].path, "/mirror?name=a");
}

#[test]
fn addresses_that_are_none() {
    let source = source(&tarball(), ArchiveFormat::TarGz, Vec::new());
    for url in ["toy.tar.gz", "file:///toy.tar.gz", "ftp://example.org/a", "http://", "http://a b/c", "http://a:b/c"] {
        let place = Place::new();
        let error = place.fetch(&source, &FetchOptions { url: Some(url.to_owned()), ..hasty() }).unwrap_err();
        assert!(matches!(error, FetchError::BadAddress { .. }), "{url}: {error}");
        assert_eq!(place.files(), [""; 0]);
    }
    assert!(matches!(Place::new().fetch(&source, &hasty()), Err(FetchError::BadAddress { .. })));
}

#[test]
fn no_server_says_what_to_do() {
    // The port was bound and is free again, so nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/toy.tar.gz");
    let place = Place::new();
    let error = place.fetch(&source(&tarball(), ArchiveFormat::TarGz, vec![url.clone()]), &hasty()).unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
    let there = place.dir().join("toy.tar.gz").display().to_string();
    for part in [url.as_str(), "in a browser", &there] {
        assert!(error.to_string().contains(part), "{part} in {error}");
    }
    assert_eq!(place.files(), [""; 0]);
}

#[test]
fn a_server_without_encryption_is_an_error() {
    let (server, mut source, _) = serve(|_, request, content| proper(content, "\"1\"", request));
    source.urls = vec![server.url("/toy.tar.gz").replace("http:", "https:")];
    let place = Place::new();
    let error = place.fetch(&source, &hasty()).unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
    assert_eq!(place.files(), [""; 0]);
}

/// Variables with the address and the folder of the download that [`a_killed_download_goes_on`] kills.
const TO_KILL: [&str; 2] = ["QARE_TEST_FETCH_URL", "QARE_TEST_FETCH_DIR"];

/// This is the process that is killed, and no test of its own.
#[test]
fn a_download_to_kill() {
    if let [Ok(url), Ok(dir)] = TO_KILL.map(std::env::var) {
        let source = source(&tarball(), ArchiveFormat::TarGz, vec![url]);
        let _ = qare_fetch::fetch(&source, dir.as_ref(), &hasty(), &|_| {});
        panic!("the server never ends");
    }
}

#[test]
fn a_killed_download_goes_on() {
    let (server, source, archive) = serve(|number, request, content| {
        let answer = proper(content, "\"1\"", request);
        if number == 0 { Answer { stall: true, ..answer.cut_after(100_000) } } else { answer }
    });
    let place = Place::new();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_download_to_kill"])
        .env(TO_KILL[0], &source.urls[0])
        .env(TO_KILL[1], place.dir())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let part = place.dir().join("toy.tar.gz.part");
    while std::fs::metadata(&part).map_or(0, |found| found.len()) < 100_000 {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    // While the process runs, no other one may write to the part.
    let error = place.fetch(&source, &hasty()).unwrap_err();
    assert!(matches!(error, FetchError::Busy { .. }), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
    let fetched = place.fetch(&source, &hasty()).unwrap();
    assert_toy(&place);
    assert_eq!(server.starts(), [None, Some(100_000)]);
    assert_eq!(downloaded(&fetched.outcome), archive.len() - 100_000);
}
