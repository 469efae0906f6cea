//! Weights that are arranged once for many batches. An evaluation computes the features of one batch after another with the same
//! weights; for large networks and small batches, arranging them for the kernels would take a third of the time.

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use qare_host::HostBackend;
use qare_kernels::{ConvSizes, Weights};

/// While a value of this type exists, convolutions in evaluation on the CPU keep their arranged weights for the next batch.
#[derive(Debug)]
#[must_use = "weights are kept as long as this lives"]
pub struct KeptWeights(());

static KEPT: Mutex<Kept> = Mutex::new(Kept { holders: 0, arranged: Vec::new() });

struct Kept {
    /// Number of [`KeptWeights`].
    holders: usize,
    arranged: Vec<Arranged>,
}

struct Arranged {
    /// Where the values are.
    address: usize,
    /// Holds the values, so that they do not change, and no other tensor gets their address.
    _values: Box<dyn Any + Send>,
    weights: Arc<Weights>,
}

/// More convolutions than a network has: a tensor that is copied for each batch has another address each time.
const MOST: usize = 512;

/// Keeps arranged weights until the result is dropped, in up to five times the memory of the weights themselves. The weights of a network that
/// changes meanwhile are arranged anew, and the old ones are kept, too.
pub fn keep_weights() -> KeptWeights {
    lock().holders += 1;
    KeptWeights(())
}

impl Drop for KeptWeights {
    fn drop(&mut self) {
        let mut kept = lock();
        kept.holders -= 1;
        let dropped = if kept.holders == 0 { std::mem::take(&mut kept.arranged) } else { Vec::new() };
        // What was kept is dropped outside of the lock.
        drop(kept);
        drop(dropped);
    }
}

/// The weights of a convolution, arranged for evaluation.
pub(super) fn arranged<H: HostBackend>(values: H::Values, sizes: ConvSizes) -> Arc<Weights> {
    let address = H::slice(&values).as_ptr().addr();
    let found = |kept: &Kept| {
        let mut all = kept.arranged.iter();
        all.find(|of| of.address == address && of.weights.sizes() == &sizes).map(|of| of.weights.clone())
    };
    if let Some(weights) = found(&lock()) {
        return weights;
    }
    // Outside of the lock: rayon may run the forward pass of another batch on this thread meanwhile.
    let weights = Arc::new(Weights::new(H::slice(&values), sizes, false));
    let mut kept = lock();
    if let Some(weights) = found(&kept) {
        return weights;
    }
    if kept.holders > 0 && kept.arranged.len() < MOST {
        kept.arranged.push(Arranged { address, _values: Box::new(values), weights: weights.clone() });
    }
    weights
}

/// No code that may panic runs under the lock, so a poisoned one is as good as any.
fn lock() -> MutexGuard<'static, Kept> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::tensor::{Distribution, Tensor, TensorData};
    use burn_flex::Flex;
    use qare_host::primitive;
    use qare_kernels::ConvParams;

    use super::*;

    /// Weights are the same object as long as they are kept, and their values cannot change under them.
    #[test]
    fn weights_are_arranged_once_while_they_are_kept() {
        let params = ConvParams { height: 4, width: 4, c_in: 8, c_out: 16, kernel: 3, stride: 1, padding: 1 };
        let sizes = ConvSizes::new(params).unwrap();
        let others = ConvSizes::new(ConvParams { height: 5, ..params }).unwrap();
        let device = Default::default();
        let tensor = Tensor::<Flex, 4>::random([16, 8, 3, 3], Distribution::Default, &device);
        let of = |tensor: &Tensor<Flex, 4>, sizes| arranged::<Flex>(Flex::values(primitive(tensor.clone())), sizes);

        let outer = keep_weights();
        let first = of(&tensor, sizes);
        {
            let _inner = keep_weights();
            assert!(Arc::ptr_eq(&first, &of(&tensor, sizes)));
        }
        assert!(Arc::ptr_eq(&first, &of(&tensor, sizes)), "an inner evaluation has ended");
        assert!(!Arc::ptr_eq(&first, &of(&tensor, others)), "other sizes have other weights");
        let changed = tensor.clone().mul_scalar(2.0);
        assert!(!Arc::ptr_eq(&first, &of(&changed, sizes)), "other values have other weights");

        // The only other handle of the tensor: an operation in place would change what is kept.
        let values: Vec<f32> = tensor.to_data().into_vec().unwrap();
        let doubled = tensor.mul_scalar(2.0);
        assert!(!Arc::ptr_eq(&first, &of(&doubled, sizes)), "a tensor changed in place");
        let again = Tensor::<Flex, 4>::from_data(TensorData::new(values, [16, 8, 3, 3]), &device);
        assert!(!Arc::ptr_eq(&first, &of(&again, sizes)), "a tensor of its own");

        drop(outer);
        assert_eq!(Arc::strong_count(&first), 1, "nothing is kept any more");
        assert_eq!(Arc::strong_count(&of(&again, sizes)), 1, "nothing is kept anew");
    }
}
