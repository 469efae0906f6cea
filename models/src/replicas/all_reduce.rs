//! Sums over all members that autodiff differentiates.

use std::any::Any;
use std::fmt;
use std::panic::resume_unwind;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Tensor, TensorData, TensorPrimitive};

use super::{Replica, ReplicaError};

/// A backend whose gradients can be summed over the members of a [`ReplicaGroup`](super::ReplicaGroup).
pub trait ReplicaBackend: AutodiffBackend {
    /// `total` as a function of `at`: its gradient is `weight` times the sum over all members of the gradients of their `total`.
    fn with_summed_gradient(
        replica: &Replica,
        weight: f64,
        total: Tensor<Self, 1>,
        at: Tensor<Self, 1>,
    ) -> Tensor<Self, 1>;
}

impl<P: Backend, C: CheckpointStrategy> ReplicaBackend for Autodiff<P, C> {
    fn with_summed_gradient(
        replica: &Replica,
        weight: f64,
        total: Tensor<Self, 1>,
        at: Tensor<Self, 1>,
    ) -> Tensor<Self, 1> {
        let nodes = [at.into_primitive().tensor().node];
        let total = total.into_primitive().tensor().primitive;
        let total = match SummedGradient.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((replica.clone(), weight), total),
            OpsKind::UnTracked(prepared) => prepared.finish(total),
        };
        Tensor::from_primitive(TensorPrimitive::Float(total))
    }
}

#[derive(Debug)]
struct SummedGradient;

impl<P: Backend> Backward<P, 1> for SummedGradient {
    type State = (Replica, f64);

    // All members exchange in the same order: their graphs have the same form, which Burn walks by depth and order of operands.
    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (replica, weight) = ops.state;
        unary::<P, _>(ops.parents, ops.node, grads, |gradient| {
            let gradient = Tensor::<P, 1>::from_primitive(TensorPrimitive::Float(gradient));
            let (mut sum, _) = replica.total(&gradient, 1.0);
            sum.iter_mut().for_each(|value| *value *= weight);
            like(&gradient, sum).into_primitive().tensor()
        });
    }
}

/// [`ReplicaBackend::with_summed_gradient`] of a backend.
type SumOf<B> = fn(&Replica, f64, Tensor<B, 1>, Tensor<B, 1>) -> Tensor<B, 1>;

/// The function of a backend that is known only at run time, since layers are generic over backends.
pub(super) struct Summation(Box<dyn Any + Send + Sync>);

impl Summation {
    pub fn of<B: ReplicaBackend>() -> Self {
        let sum: SumOf<B> = B::with_summed_gradient;
        Self(Box::new(sum))
    }
}

impl fmt::Debug for Summation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Summation")
    }
}

impl Replica {
    /// y = Σ_d x_d over all members d. The gradient of x_d is Σ_d' ∂L_d'/∂y over the losses of all members. All members have to
    /// call this, and run their backward passes.
    ///
    /// # Shapes
    ///
    /// `[N]` → `[N]`, the same N on each member.
    ///
    /// # Panics
    ///
    /// If the group has failed, which [`ReplicaGroup::enter`](super::ReplicaGroup::enter) turns into an error; if N differs
    /// between members; and if `B` is an autodiff backend other than the group's.
    pub fn sum<B: Backend>(&self, x: Tensor<B, 1>) -> Tensor<B, 1> {
        self.weighted_sum(x, 1.0).0
    }

    /// Σ_d w_d·x_d / Σ_d w_d, differentiated as [`sum`](Self::sum) is, and Σ_d w_d.
    pub(crate) fn mean<B: Backend>(&self, x: Tensor<B, 1>, weight: f64) -> (Tensor<B, 1>, f64) {
        let (sum, weights) = self.weighted_sum(x, weight);
        (sum / weights, weights)
    }

    fn weighted_sum<B: Backend>(&self, x: Tensor<B, 1>, weight: f64) -> (Tensor<B, 1>, f64) {
        let (total, weights) = self.total(&x.clone().detach(), weight);
        let total = like(&x, total);
        let sum = match self.group.summation.0.downcast_ref::<SumOf<B>>() {
            Some(with_summed_gradient) => with_summed_gradient(self, weight, total, x),
            None => {
                assert!(!B::ad_enabled(&x.device()), "the group of replicas is of another backend");
                total
            }
        };
        (sum, weights)
    }

    /// Σ_d w_d·x_d in the order of ranks, and Σ_d w_d.
    fn total<B: Backend>(&self, x: &Tensor<B, 1>, weight: f64) -> (Vec<f64>, f64) {
        let mut given = values(x.clone());
        given.push(weight);
        // Layers return no errors. `ReplicaGroup::enter` catches this one; `resume_unwind` prints no message.
        let gathered = self.all_gather(given).unwrap_or_else(|error| resume_unwind(Box::new(error)));
        let (mut total, mut weights) = (vec![0.0; x.dims()[0]], 0.0);
        for of_member in gathered.iter() {
            let (weight, x) = of_member.split_last().expect("a weight is always there");
            assert_eq!(x.len(), total.len(), "numbers of one member (left) and of another (right)");
            weights += weight;
            total.iter_mut().zip(x).for_each(|(total, x)| *total += weight * x);
        }
        (total, weights)
    }

    /// The rows of all members, in the order of ranks. Gradients flow to this member's own rows only.
    ///
    /// # Shapes
    ///
    /// `[N_d, D]` → `[Σ_d N_d, D]`
    ///
    /// # Errors
    ///
    /// If the group has failed.
    pub fn gather_rows<B: Backend>(&self, own: Tensor<B, 2>) -> Result<Tensor<B, 2>, ReplicaError> {
        let [_, width] = own.dims();
        let gathered = self.all_gather(values(own.clone().detach()))?;
        let (device, dtype) = (own.device(), own.dtype());
        let constant = |members: &[Vec<f64>]| {
            let values = members.concat();
            let rows = values.len() / width;
            (rows > 0).then(|| on_device(values, [rows, width], &device, dtype))
        };
        let (before, after) = (constant(&gathered[..self.rank]), constant(&gathered[self.rank + 1..]));
        Ok(Tensor::cat(before.into_iter().chain([own]).chain(after).collect(), 0))
    }
}

/// The values of a tensor.
fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    tensor.into_data().convert::<f64>().into_vec().expect("the data has just been converted")
}

/// A tensor of these values on the device and in the type of another.
fn like<B: Backend>(other: &Tensor<B, 1>, values: Vec<f64>) -> Tensor<B, 1> {
    on_device(values, other.dims(), &other.device(), other.dtype())
}

fn on_device<B: Backend, const D: usize>(
    values: Vec<f64>,
    shape: [usize; D],
    device: &B::Device,
    dtype: DType,
) -> Tensor<B, D> {
    Tensor::from_data(TensorData::new(values, shape).convert_dtype(dtype), (device, dtype))
}
