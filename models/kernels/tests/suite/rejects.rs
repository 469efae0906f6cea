//! Sizes that cannot be computed are refused, and all others are not.

use qare_kernels::{ConvBlock, ConvParams, ConvSizes, Layout, Pool, SizesError};

const GOOD: ConvParams = ConvParams { height: 5, width: 4, c_in: 3, c_out: 8, kernel: 3, stride: 1, padding: 1 };

fn error(params: ConvParams) -> SizesError {
    ConvSizes::new(params).expect_err("sizes that cannot be computed")
}

#[test]
fn every_zero() {
    let zeros = [
        ("height", ConvParams { height: 0, ..GOOD }),
        ("width", ConvParams { width: 0, ..GOOD }),
        ("number of input channels", ConvParams { c_in: 0, ..GOOD }),
        ("number of output channels", ConvParams { c_out: 0, ..GOOD }),
        ("kernel", ConvParams { kernel: 0, ..GOOD }),
        ("stride", ConvParams { stride: 0, ..GOOD }),
    ];
    for (size, params) in zeros {
        assert_eq!(error(params), SizesError::Zero { size });
    }
    assert_eq!(error(ConvParams { width: 0, ..GOOD }).to_string(), "width of a convolution is 0");
}

#[test]
fn kernels_that_do_not_fit() {
    let one = ConvParams { height: 1, width: 1, padding: 0, ..GOOD };
    assert_eq!(error(one), SizesError::Kernel { kernel: 3, height: 1, width: 1 });
    assert_eq!(error(one).to_string(), "a kernel of 3×3 does not fit into a padded image of 1×1");
    let narrow = ConvParams { height: 9, width: 2, kernel: 5, padding: 1, ..GOOD };
    assert_eq!(error(narrow), SizesError::Kernel { kernel: 5, height: 11, width: 4 });
    let padded = ConvParams { padding: 3, ..GOOD };
    assert_eq!(error(padded), SizesError::Padding { padding: 3, kernel: 3 });
}

/// All combinations of few values: accepted if and only if a literal reading of the rules accepts them, and then with the output
/// that counting the positions of the kernel gives.
#[test]
fn nothing_else() {
    let mut accepted = 0;
    let sides = || 0..=4usize;
    for (height, width) in sides().flat_map(|height| sides().map(move |width| (height, width))) {
        for (kernel, padding) in (0..=6).flat_map(|kernel| (0..=6).map(move |padding| (kernel, padding))) {
            for stride in 0..=3 {
                let params = ConvParams { height, width, kernel, stride, padding, ..GOOD };
                // Positions of the kernel's first row or column in a padded side.
                let positions = |side: usize| {
                    if stride == 0 || kernel == 0 {
                        return 0;
                    }
                    (0..side + 2 * padding).step_by(stride).filter(|at| at + kernel <= side + 2 * padding).count()
                };
                let (rows, columns) = (positions(height), positions(width));
                let good = height > 0 && width > 0 && padding < kernel && rows > 0 && columns > 0;
                let found = ConvSizes::new(params);
                assert_eq!(found.is_ok(), good, "{params:?}: {found:?}");
                if let Ok(sizes) = found {
                    accepted += 1;
                    assert_eq!((sizes.out_height(), sizes.out_width()), (rows, columns), "{params:?}");
                    assert_eq!(sizes.output_len(), rows * columns * GOOD.c_out, "{params:?}");
                }
            }
        }
    }
    assert!(accepted > 500, "{accepted} sizes accepted");
}

#[test]
fn sizes_that_overflow() {
    let huge = [
        ConvParams { height: usize::MAX, ..GOOD },
        ConvParams { width: usize::MAX / 2, ..GOOD },
        ConvParams { height: 1 << 33, width: 1 << 33, ..GOOD },
        ConvParams { c_in: usize::MAX, ..GOOD },
        ConvParams { c_in: usize::MAX - 3, kernel: 1, padding: 0, ..GOOD },
        ConvParams { c_out: usize::MAX, ..GOOD },
        ConvParams { c_in: 1 << 32, c_out: 1 << 32, kernel: 1, padding: 0, ..GOOD },
        // k² wraps to zero.
        ConvParams { kernel: 1 << 32, padding: (1 << 32) - 1, ..GOOD },
        ConvParams { kernel: usize::MAX, padding: usize::MAX - 1, ..GOOD },
        ConvParams { stride: usize::MAX, ..GOOD },
        ConvParams { stride: usize::MAX / 2 + 1, ..GOOD },
    ];
    for params in huge {
        assert!(matches!(error(params), SizesError::TooLarge { .. }), "{params:?}");
    }
    // Of a product that just fits into memory, and one that does not: 2^61 values of four bytes are one too many for isize.
    let values = |c_out| ConvParams { height: 1, width: 1, c_in: 8, c_out, kernel: 1, stride: 1, padding: 0 };
    assert!(ConvSizes::new(values((1 << 58) - 1)).is_ok());
    assert_eq!(error(values(1 << 58)), SizesError::TooLarge { array: "the weights" });
}

#[test]
fn pooling_that_leaves_nothing() {
    let maps = |height, width| ConvSizes::new(ConvParams { height, width, ..GOOD }).expect("good sizes");
    let halved = |sizes| ConvBlock::new(sizes, Layout::Planar, true, Pool::Halve);
    assert_eq!(halved(maps(1, 5)), Err(SizesError::Pool { height: 1, width: 5 }));
    assert_eq!(halved(maps(5, 1)), Err(SizesError::Pool { height: 5, width: 1 }));
    assert_eq!(halved(maps(2, 3)).expect("good sizes").out_dims(), [1, 1, 8]);
    assert_eq!(
        ConvBlock::new(maps(1, 1), Layout::Planar, true, Pool::Average).expect("good sizes").out_dims(),
        [1, 1, 8]
    );
}
