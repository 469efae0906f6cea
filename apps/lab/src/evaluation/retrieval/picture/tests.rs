use super::*;

/// Images of one colour each.
fn images(side: usize, colours: &[[u8; 3]]) -> ImageSet {
    let pixels = colours.iter().flat_map(|colour| colour.iter().flat_map(|value| vec![*value; side * side])).collect();
    ImageSet::new(pixels, vec![0; colours.len()], side, vec!["class".to_owned()]).unwrap()
}

fn neighbours() -> Neighbours {
    Neighbours {
        random: vec![Found { query: 0, nearest: vec![(1, true), (2, false)] }],
        worst: vec![Found { query: 2, nearest: vec![(0, false), (1, false)] }],
    }
}

const COLOURS: [[u8; 3]; 3] = [[10, 20, 30], [40, 50, 60], [70, 80, 90]];

#[test]
fn images_and_frames_lie_in_their_rows_and_columns() {
    for (side, size) in [(1, 80), (28, 84), (32, 96), (80, 80), (96, 96), (160, 160), (224, 160)] {
        let file = png(&neighbours(), &images(side, &COLOURS));
        let picture = image::load_from_memory_with_format(&file, ImageFormat::Png).unwrap().to_rgb8();
        let layout = Layout::of(side as u32);
        assert_eq!(layout.image, size, "side {side}");
        for (row, found) in [&neighbours().random[0], &neighbours().worst[0]].into_iter().enumerate() {
            let shown = [(found.query, INK)]
                .into_iter()
                .chain(found.nearest.iter().map(|(index, right)| (*index, if *right { GREEN } else { RED })));
            for (column, (index, colour)) in shown.enumerate() {
                let (left, top) = (layout.left(column as u32), layout.top(row as u32, 1));
                let pixel = |x: u32, y: u32| *picture.get_pixel(left + x, top + y);
                let (frame, end) = (layout.frame, layout.framed());
                for (x, y) in [(frame, frame), (end - 1 - frame, frame), (end / 2, end / 2), (frame, end - 1 - frame)] {
                    assert_eq!(pixel(x, y), Rgb(COLOURS[index]), "side {side}, row {row}, column {column}, ({x}, {y})");
                }
                // The inner edge of the frame: all of it in its colour, or dashes and spaces.
                let edge: Vec<bool> = (frame - 1..=end - frame).map(|x| pixel(x, frame - 1) == colour).collect();
                let spaces = edge.windows(2).filter(|pair| pair[0] && !pair[1]).count();
                assert_eq!(spaces > 1, colour == RED, "side {side}, row {row}, column {column}: {edge:?}");
                assert!(edge[0] && edge[edge.len() - 1], "corners are drawn");
                assert_eq!(pixel(end, end / 2), PAPER);
            }
        }
        let line = layout.top(1, 1) - layout.wide_gap() / 2;
        assert_eq!(*picture.get_pixel(picture.width() / 2, line), INK);
    }
}

#[test]
fn an_enlarged_image_keeps_its_pixels() {
    // Red grows from left to right, green downwards.
    let plane = |of: fn(usize, usize) -> usize| (0..32 * 32).map(move |place| of(place % 32, place / 32) as u8 * 8);
    let pixels = plane(|x, _| x).chain(plane(|_, y| y)).chain(plane(|_, _| 1)).collect();
    let images = ImageSet::new(pixels, vec![0], 32, vec!["class".to_owned()]).unwrap();
    let large = scaled(&images, 0, 96);
    for (x, y, pixel) in large.enumerate_pixels() {
        assert_eq!(*pixel, Rgb([(x / 3) as u8 * 8, (y / 3) as u8 * 8, 8]));
    }
}
