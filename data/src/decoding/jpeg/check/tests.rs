use super::check;

macro_rules! files {
    ($($folder:literal $name:literal),*) => {
        [$(($name, include_bytes!(concat!("../../../../tests/", $folder, "/", $name, ".jpg")))),*]
    };
}

/// Small complete files.
const FILES: [(&str, &[u8]); 8] = files!(
    "jpeg" "cmyk", "jpeg" "gray", "jpeg" "halved", "jpeg" "halved_across", "jpeg" "progressive", "jpeg" "restarts",
    "jpeg" "whole", "jpeg_verdicts" "large"
);

fn file(name: &str) -> &'static [u8] {
    FILES.iter().find(|(other, _)| *other == name).unwrap().1
}

/// The damage of `tests/make_jpeg_verdicts.py`.
fn damaged(file: &[u8], damage: &str, step: usize) -> Vec<u8> {
    let end = file.len();
    let place = 2 + step * 7919 % (end - 2);
    match damage {
        "shortened" => file[..end - step].to_vec(),
        "continued" => [&file[..end - 2], &vec![b'U'; step]].concat(),
        "in_two_pieces" => {
            let length = (1 << 16) - (end - 1 - 3 * step) - 2;
            let head = [0xff, 0xfe, (length >> 8) as u8, length as u8];
            [&file[..2], &head, &vec![0; length - 2], &file[2..end - 2], &vec![b'U'; step % 9]].concat()
        }
        "changed" => [&file[..place], &[(step * 31 + 7) as u8], &file[place + 1..]].concat(),
        "marked" => {
            let end = (place + 2).min(end);
            [&file[..place], &[0xff, ((step * 13 + 1) % 255) as u8], &file[end..]].concat()
        }
        _ => panic!("{damage} is none"),
    }
}

#[test]
fn damaged_files_are_read_if_pillow_reads_them() {
    let verdicts = include_str!("../../../../tests/jpeg_verdicts/verdicts.txt");
    for line in verdicts.lines() {
        let [name, damage, verdicts] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        for (step, verdict) in verdicts.bytes().enumerate() {
            let checked = check(&damaged(file(name), damage, step));
            assert_eq!(checked.is_ok(), verdict == b'1', "{name} {damage} {step} {checked:?}");
        }
    }
    assert_eq!(verdicts.lines().count(), 5 * FILES.len());
}

/// The file without its segments with one marker.
fn without(marker: u8, file: &[u8]) -> Vec<u8> {
    let mut left = file[..2].to_vec();
    let mut place = 2;
    while file[place + 1] != 0xda {
        let end = place + 2 + usize::from(u16::from_be_bytes([file[place + 2], file[place + 3]]));
        if file[place + 1] != marker {
            left.extend(&file[place..end]);
        }
        place = end;
    }
    left.extend(&file[place..]);
    left
}

#[test]
fn frames_of_films_have_the_usual_tables() {
    for name in ["halved", "gray", "restarts", "large"] {
        assert_eq!(check(&without(0xc4, file(name))), Ok(()), "{name}");
    }
    // The standard tables replace missing ones in sequential files only.
    assert!(check(&without(0xc4, file("progressive"))).is_err());
}

#[test]
fn tables_may_be_in_a_file_of_their_own() {
    let file = file("halved");
    let both = |first: &[u8], second: &[u8]| check(&[first, b"\xff\xd9", second].concat());
    let tables = without(0xc0, file);
    let start = tables.windows(2).position(|pair| pair == b"\xff\xda").unwrap();
    let rest = without(0xdb, file);
    assert!(check(&rest).is_err());
    assert_eq!(both(&tables[..start], &rest), Ok(()));
    assert!(both(&tables[..start], &rest[1..]).is_err());
}

#[test]
fn reasons_are_told() {
    let told = |bytes: &[u8]| check(bytes).unwrap_err();
    assert_eq!(told(&file("halved")[..900]), "the JPEG data is cut off after 900 bytes");
    assert_eq!(told(b"\xff\xd8\xff"), "the JPEG data is cut off after 3 bytes");
    assert_eq!(told(b""), "it does not start as a JPEG file does");
    assert_eq!(told(&without(0xdb, file("gray"))), "a quantization table is missing");
}

#[test]
fn no_bytes_make_it_panic() {
    let mut state = 1_u32;
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for round in 0..20_000 {
        let mut bytes = FILES[round % FILES.len()].1.to_vec();
        for _ in 0..1 + random(10) {
            let place = random(bytes.len().min(700));
            bytes[place] = random(256) as u8;
        }
        bytes.truncate(1 + random(bytes.len()));
        let _ = check(&bytes);
    }
}
