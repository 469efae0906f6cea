//! The suite of views that a device computes, on the backend flex.

use burn_flex::Flex;

#[path = "suite/device_views.rs"]
mod suite;

#[test]
fn drawn_views() {
    suite::drawn_views::<Flex>();
}

#[test]
fn crops() {
    suite::crops::<Flex>();
}

#[test]
fn lengths() {
    suite::lengths::<Flex>();
}

#[test]
fn colors() {
    suite::colors::<Flex>();
}

#[test]
fn contrast_of_large_images() {
    suite::contrast_of_large_images::<Flex>();
}

#[test]
fn orders() {
    suite::orders::<Flex>();
}
