//! Answers that are not the archive.

mod served;

use std::time::Duration;

use qare_fetch::{ArchiveFormat, FetchError, FetchOptions};
use served::{
    Answer, Place, Server, TOY, another_version, downloaded, gzip, hasty, proper, serve, source, tarball, zip_with,
};

const LOGIN: &[u8] = b"<!DOCTYPE html>\n<html><head><title>Hotel Wi-Fi: sign in</title></head><body>...</body></html>";

/// The error's description of the answer.
fn found(error: &FetchError) -> &str {
    match error {
        FetchError::NotArchive { found, .. } => found,
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_no_archive_is_named_and_not_kept() {
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    let long_page = [LOGIN, &b" ".repeat(100_000)].concat();
    for (content_type, body, what) in [
        ("text/html; charset=utf-8", LOGIN.to_vec(), "an HTML page, \"Hotel Wi-Fi: sign in\""),
        ("text/html", long_page, "an HTML page, \"Hotel Wi-Fi: sign in\""),
        ("application/gzip", LOGIN.to_vec(), "an HTML page, \"Hotel Wi-Fi: sign in\""),
        ("text/html", gzip(LOGIN), "an HTML page, \"Hotel Wi-Fi: sign in\", compressed"),
        (
            "application/json",
            b"{\"message\": \"rate limit\"}".to_vec(),
            "a JSON text, \"{\"message\": \"rate limit\"}\"",
        ),
        ("application/xml", b"<Error><Code>AccessDenied</Code></Error>".to_vec(), "an XML text, \"AccessDenied\""),
        ("text/plain", b"gone".to_vec(), "a text, \"gone\""),
        ("application/x-tar", tar, "a tar archive that is not compressed"),
        ("application/zip", zip_with(|_| {}), "a zip archive"),
        ("application/gzip", vec![0; 5000], "a file that begins with the bytes 00 00 00 00 00 00 00 00"),
        ("application/gzip", Vec::new(), "nothing"),
    ] {
        for with_length in [true, false] {
            if body.is_empty() && !with_length {
                continue;
            }
            let answer = Answer::new("200 OK", &body).header("Content-Type", content_type);
            let answer = if with_length { answer } else { answer.without("Content-Length") };
            let (server, mut source, _) = serve(move |_, _, _| answer.clone());
            for size in [source.size, None, Some(body.len() as u64)] {
                source.size = size;
                let place = Place::new();
                let (fetched, events) = place.watch(&source, &hasty());
                let error = fetched.unwrap_err();
                let kind = content_type.split(';').next().unwrap();
                assert_eq!(found(&error), format!("{what} ({kind})"));
                let there = place.dir().join("toy.tar.gz").display().to_string();
                for part in [what, &source.urls[0], &there, "in a browser", "a gzip-compressed tar archive"] {
                    assert!(error.to_string().contains(part), "{part} in {error}");
                }
                assert!(!events.iter().any(|event| event.starts_with("Retrying")), "{events:#?}");
                assert_eq!(place.files(), [""; 0]);
            }
            assert_eq!(server.requests().len(), 3, "one for each");
        }
    }
}

#[test]
fn an_empty_answer_without_a_length_is_a_cut_unless_its_end_is_marked() {
    for (chunked, requests) in [(true, 1), (false, 3)] {
        let (server, source, _) = serve(move |_, _, _| {
            if chunked {
                Answer::new("200 OK", b"0\r\n\r\n").without("Content-Length").header("Transfer-Encoding", "chunked")
            } else {
                Answer::new("200 OK", b"").without("Content-Length")
            }
        });
        let place = Place::new();
        let error = place.fetch(&source, &hasty()).unwrap_err();
        if chunked {
            assert_eq!(found(&error), "nothing");
        } else {
            assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
        }
        assert_eq!((place.files(), server.requests().len()), (Vec::new(), requests));
    }
}

#[test]
fn a_page_in_the_place_of_a_zip() {
    let archive = zip_with(|_| {});
    for body in [LOGIN.to_vec(), tarball()] {
        let server = Server::start(move |_, _| Answer::new("200 OK", &body));
        let place = Place::new();
        let source = source(&archive, ArchiveFormat::Zip, vec![server.url("/toy.zip")]);
        let error = place.fetch(&source, &hasty()).unwrap_err();
        assert!(error.to_string().contains("expected a zip archive"), "{error}");
        assert!(matches!(error, FetchError::NotArchive { .. }), "{error}");
        assert_eq!((place.files(), server.requests().len()), (Vec::new(), 1));
    }
}

#[test]
fn a_page_that_is_cut_or_stalls_is_a_page() {
    let page = [LOGIN, &b" ".repeat(2000)].concat();
    for sent in [20, LOGIN.len(), 1000] {
        for stall in [false, true] {
            let answer = Answer { stall, ..Answer::new("200 OK", &page).cut_after(sent) };
            let (server, source, _) = serve(move |_, _, _| answer.clone());
            let place = Place::new();
            let options = FetchOptions { read_timeout: Duration::from_millis(100), ..hasty() };
            let error = place.fetch(&source, &options).unwrap_err();
            assert!(found(&error).starts_with("an HTML page"), "{error}");
            assert_eq!((place.files(), server.requests().len()), (Vec::new(), 1));
        }
    }
}

#[test]
fn where_a_redirect_leads_is_said() {
    let (server, source, _) = serve(|_, request, _| match request.path.as_str() {
        "/toy.tar.gz" => Answer::new("302 Found", b"").header("Location", "/login?token=secret"),
        _ => Answer::new("200 OK", LOGIN).header("Content-Type", "text/html"),
    });
    let error = Place::new().fetch(&source, &hasty()).unwrap_err();
    let FetchError::NotArchive { from, .. } = &error else { panic!("{error}") };
    assert_eq!(from.as_ref(), Some(&server.url("/login")));
    assert!(error.to_string().contains(&server.url("/login")) && !error.to_string().contains("secret"), "{error}");
}

#[test]
fn a_page_does_not_cost_the_part() {
    let range = |content: &[u8]| format!("bytes 1000-{}/{}", 999 + LOGIN.len(), content.len());
    for partial in [false, true] {
        let (server, source, archive) = serve(move |_, _, content| {
            if partial {
                Answer::new("206 Partial Content", LOGIN)
                    .header("Content-Range", range(content))
                    .header("Content-Type", "text/html")
            } else {
                Answer::new("200 OK", LOGIN)
            }
        });
        let place = Place::new();
        place.write("toy.tar.gz.part", &archive[..1000]);
        let error = place.fetch(&source, &hasty()).unwrap_err();
        let kind = if partial { " (text/html)" } else { "" };
        assert_eq!(found(&error), format!("an HTML page, \"Hotel Wi-Fi: sign in\"{kind}"));
        assert_eq!(place.read("toy.tar.gz.part"), archive[..1000]);
        assert_eq!(server.starts(), [Some(1000)]);
    }
}

#[test]
fn the_rest_of_an_archive_may_be_called_a_page() {
    let (server, source, archive) =
        serve(|_, request, content| proper(content, "\"1\"", request).header("Content-Type", "text/html"));
    let place = Place::new();
    place.write("toy.tar.gz.part", &archive[..1000]);
    place.fetch(&source, &hasty()).unwrap();
    assert_eq!(place.files(), TOY);
    assert_eq!(server.starts(), [Some(1000)]);
}

#[test]
fn a_part_that_is_a_page_is_started_anew() {
    for part in [LOGIN.to_vec(), gzip(LOGIN), vec![0; 3000], b"PK\x03\x04".to_vec()] {
        let (server, source, archive) = serve(|_, request, content| proper(content, "\"1\"", request));
        let place = Place::new();
        place.write("toy.tar.gz.part", &part);
        place.write("toy.tar.gz.part.origin", format!("url: {}\netag: \"1\"\n", source.urls[0]).as_bytes());
        let (fetched, events) = place.watch(&source, &hasty());
        assert_eq!(downloaded(&fetched.unwrap().outcome), archive.len());
        assert_eq!(place.files(), TOY);
        assert_eq!(server.starts(), [None]);
        assert!(events[0].starts_with("StartingAnew") && events[0].contains("is of no use: it is a"), "{events:#?}");
    }
}

#[test]
fn a_part_that_is_a_page_does_not_outlive_a_page() {
    let (_server, source, _) = serve(|_, _, _| Answer::new("200 OK", LOGIN));
    let place = Place::new();
    place.write("toy.tar.gz.part", LOGIN);
    place.fetch(&source, &hasty()).unwrap_err();
    assert_eq!(place.files(), [""; 0]);
}

#[test]
fn a_part_of_another_file_is_found_out_in_one_call() {
    // Only the checksum shows that the part is of another file. First the rest is downloaded, then nothing is missing.
    for length in [100_000, tarball().len()] {
        let (server, source, archive) = serve(|_, request, content| proper(content, "\"1\"", request));
        let place = Place::new();
        place.write("toy.tar.gz.part", &another_version(&archive)[..length]);
        let (fetched, events) = place.watch(&source, &hasty());
        let whole = length == archive.len();
        let came = if whole { archive.len() } else { archive.len() - length + archive.len() };
        assert_eq!(downloaded(&fetched.unwrap().outcome), came);
        assert_eq!(place.files(), TOY);
        assert_eq!(server.starts(), if whole { vec![None] } else { vec![Some(length), None] });
        assert!(events.iter().any(|event| event.starts_with("StartingAnew")), "{events:#?}");
    }
}

#[test]
fn a_wrong_file_at_one_address_is_not_that_of_the_next() {
    let (server, mut source, archive) = serve(|_, request, content| match request.path.as_str() {
        "/page" => Answer::new("200 OK", LOGIN),
        "/other" => proper(&another_version(content), "\"2\"", request),
        "/short" => proper(&content[..5000], "\"3\"", request),
        _ => proper(content, "\"1\"", request),
    });
    source.urls = ["/page", "/short", "/other", "/right"].map(|path| server.url(path)).to_vec();
    let place = Place::new();
    let fetched = place.fetch(&source, &hasty()).unwrap();
    assert_eq!(place.files(), TOY);
    assert_eq!(downloaded(&fetched.outcome), 2 * archive.len());
    assert_eq!(server.starts(), [None; 4]);

    source.urls.pop();
    let place = Place::new();
    let error = place.fetch(&source, &hasty()).unwrap_err();
    assert!(matches!(error, FetchError::Checksum { .. }), "{error}");
    assert_eq!(place.files(), [""; 0]);
}

#[test]
fn a_page_under_the_archives_name_is_named() {
    let archive = tarball();
    let source = source(&archive, ArchiveFormat::TarGz, Vec::new());
    let place = Place::new();
    for (bytes, guess) in [(LOGIN.to_vec(), "it is an HTML page"), (another_version(&archive), "unfinished download")] {
        place.write("toy.tar.gz", &bytes);
        let error = place.fetch(&source, &hasty()).unwrap_err();
        assert!(matches!(error, FetchError::ArchiveChecksum { .. }) && error.to_string().contains(guess), "{error}");
        // The file is the user's, and stays.
        assert_eq!(place.read("toy.tar.gz"), bytes);
    }
}
