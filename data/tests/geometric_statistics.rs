//! The random choices of crop, flip and affine views have the distributions they should have, and are a function of their
//! draw.

mod distribution;

use distribution::{assert_share, assert_uniform};
use qare_data::affine::Affine;
use qare_data::geometric_views::{AffineView, CropView, FlipView};
use qare_data::{Draw, Purpose, RandomErasing};

const DRAWS: u64 = 40_000;

fn draws() -> impl Iterator<Item = Draw> {
    (0..DRAWS).map(|index| Draw::new(13, Purpose::View, 2, index, 1))
}

fn affine_views(side: usize, erasing: Option<RandomErasing>) -> Vec<AffineView> {
    draws().map(|mut draw| AffineView::draw(side, erasing, &mut draw)).collect()
}

fn transforms(side: usize) -> Vec<Affine> {
    affine_views(side, None).iter().filter_map(|view| view.affine).collect()
}

#[test]
fn half_of_the_flip_views_are_mirrored() {
    let flips = draws().filter(|draw| FlipView::draw(&mut draw.clone()).flip).count();
    assert_share(flips, DRAWS as usize, 0.5, "flip");
}

#[test]
fn crops_are_at_every_place_equally_often() {
    let views: Vec<CropView> = draws().map(|mut draw| CropView::draw(32, &mut draw)).collect();
    assert_share(views.iter().filter(|view| view.flip).count(), views.len(), 0.5, "flip");
    // A padding of 4 leaves nine rows and nine columns. Counts of the pairs show that the two are independent.
    for place in 0..81 {
        let here = views.iter().filter(|view| (view.crop.top, view.crop.left) == (place / 9, place % 9));
        assert_share(here.clone().count(), views.len(), 1.0 / 81.0, &format!("place {place}"));
        let mirrored = here.filter(|view| view.flip).count();
        assert_share(mirrored, views.len(), 1.0 / 162.0, &format!("place {place}, mirrored"));
    }
}

#[test]
fn the_padding_is_an_eighth_of_the_side() {
    for (side, padding) in [(32, 4), (33, 4), (64, 8), (96, 12), (7, 0)] {
        let crops: Vec<_> = draws().take(2_000).map(|mut draw| CropView::draw(side, &mut draw).crop).collect();
        assert!(crops.iter().all(|crop| crop.padding == padding), "side {side}");
        let tops = crops.iter().map(|crop| crop.top);
        assert_eq!((tops.clone().min(), tops.max()), (Some(0), Some(2 * padding)), "side {side}");
    }
}

#[test]
fn rates_of_flip_transform_and_erasing() {
    let views = affine_views(96, Some(RandomErasing::STL10));
    let count = |choice: fn(&AffineView) -> bool| views.iter().filter(|view| choice(view)).count();
    assert_share(count(|view| view.flip), views.len(), 0.5, "flip");
    assert_share(count(|view| view.affine.is_some()), views.len(), 0.5, "transform");
    assert_share(count(|view| view.erased.is_some()), views.len(), 0.5, "erasing");
    assert_share(count(|view| view.flip && view.affine.is_some()), views.len(), 0.25, "both flip and transform");
    assert_share(count(|view| view.affine.is_some() && view.erased.is_some()), views.len(), 0.25, "both of the others");
    assert!(affine_views(96, None).iter().all(|view| view.erased.is_none()));
}

#[test]
fn transforms_are_uniform_within_their_bounds() {
    let transforms = transforms(96);
    assert_uniform(transforms.iter().map(|affine| affine.angle), -18.0, 18.0, 0.0, "angle");
    assert_uniform(transforms.iter().map(|affine| affine.scale), 0.9, 1.1, 0.0, "scale");
    assert_uniform(transforms.iter().map(|affine| affine.shear), -10.0, 10.0, 0.0, "shear");
}

/// A translation is uniform in ±9.6 or ±3.2 and then rounded, so the outermost one is rarer than the others.
#[test]
fn translations_are_rounded_uniform_numbers() {
    for (side, outermost, bound) in [(96, 10, 9.6), (32, 3, 3.2)] {
        let transforms = transforms(side);
        for shift in -outermost..=outermost {
            let low = (f64::from(shift) - 0.5).max(-bound);
            let high = (f64::from(shift) + 0.5).min(bound);
            let share = (high - low) / (2.0 * bound);
            let right = transforms.iter().filter(|affine| affine.right == shift).count();
            assert_share(right, transforms.len(), share, &format!("{shift} to the right of {side}"));
            let down = transforms.iter().filter(|affine| affine.down == shift).count();
            assert_share(down, transforms.len(), share, &format!("{shift} down of {side}"));
        }
        assert!(transforms.iter().all(|affine| affine.right.abs() <= outermost && affine.down.abs() <= outermost));
    }
}

#[test]
fn squares_have_one_size_and_any_place() {
    for (erasing, side, square) in
        [(RandomErasing::STL10, 96, 32), (RandomErasing::CIFAR10, 32, 16), (RandomErasing::CIFAR100, 32, 8)]
    {
        let squares: Vec<_> = affine_views(side, Some(erasing)).iter().filter_map(|view| view.erased).collect();
        assert!(squares.iter().all(|area| (area.height, area.width) == (square, square)));
        let places = side - square + 1;
        for place in 0..places {
            let share = 1.0 / places as f64;
            let rows = squares.iter().filter(|area| area.top == place).count();
            assert_share(rows, squares.len(), share, &format!("row {place} of {places}"));
            let columns = squares.iter().filter(|area| area.left == place).count();
            assert_share(columns, squares.len(), share, &format!("column {place} of {places}"));
        }
        assert!(squares.iter().all(|area| area.top < places && area.left < places));
    }
}
