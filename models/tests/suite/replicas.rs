//! Several devices against one: the same values and gradients, and nobody who waits in vain.

use std::thread;

use burn::backend::Autodiff;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use burn_flex::Flex;
use burn_ndarray::NdArray;
use qare_models::replicas::{BatchStatistics, Replica, ReplicaBackend, ReplicaError, ReplicaGroup};
use qare_models::{BackboneName, BatchNorm, named_tensors};

use crate::cpu_blocks::{Figures, assert_same, gradients_of};
use crate::numbers::{assert_close, noise, tensor, values};

/// What each member of a group makes of a step.
fn together<T: Send>(
    group: &ReplicaGroup,
    members: usize,
    step: impl Fn(usize) -> Result<T, String> + Sync,
) -> Vec<Result<T, ReplicaError>> {
    let step = &step;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..members).map(|rank| scope.spawn(move || group.enter(rank, || step(rank)))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn group<B: ReplicaBackend>(members: usize) -> ReplicaGroup {
    ReplicaGroup::new::<B>(members, BatchStatistics::Whole)
}

fn sums_have_value_and_gradient<B: ReplicaBackend>() {
    const N: usize = 7;
    for members in [1, 2, 3] {
        let group = group::<B>(members);
        let x: Vec<Vec<f64>> = (0..members).map(|rank| noise(N, rank as u64)).collect();
        let c: Vec<Vec<f64>> = (0..members).map(|rank| noise(N, 10 + rank as u64)).collect();
        let total: Vec<f64> = (0..N).map(|i| x.iter().map(|x| x[i]).sum()).collect();
        // Two steps, for a group lasts longer than one.
        for _ in 0..2 {
            let found = together(&group, members, |rank| {
                let leaf = tensor::<B, 1>(&x[rank], [N]).require_grad();
                let sum = Replica::current().unwrap().sum(leaf.clone() * 2.0);
                let loss = (sum.clone() * sum.clone() * tensor(&c[rank], [N])).sum();
                Ok((values(sum), values(leaf.grad(&loss.backward()).unwrap())))
            });
            for result in found {
                let (sum, gradient) = result.unwrap();
                let expected: Vec<f64> = total.iter().map(|x| 2.0 * x).collect();
                assert_close(&sum, &expected, 1e-6, "sum");
                // L_d = Σ c_d·y² with y = 2·Σ x, so Σ_d ∂L_d/∂x = Σ_d c_d·2y·2.
                let slope = |i: usize| c.iter().map(|c| c[i]).sum::<f64>() * 4.0 * expected[i];
                assert_close(&gradient, &(0..N).map(slope).collect::<Vec<_>>(), 1e-5, "gradient");
            }
        }
    }
}

#[test]
fn sums_over_members_have_value_and_gradient() {
    sums_have_value_and_gradient::<Autodiff<Flex>>();
    sums_have_value_and_gradient::<Autodiff<NdArray>>();
}

/// The rows of each member in data of all.
fn shares<const D: usize>(data: &[f64], shape: [usize; D], parts: &[usize]) -> Vec<(Vec<f64>, [usize; D])> {
    let row = data.len() / shape[0];
    let mut rest = data;
    let shares = parts.iter().map(|images| {
        let (share, after) = rest.split_at(images * row);
        rest = after;
        let mut shape = shape;
        shape[0] = *images;
        (share.to_vec(), shape)
    });
    shares.collect()
}

/// Output, gradients of input, weight and bias, and statistics, of a layer that has been trained on a batch.
type Normalized = [Vec<f64>; 4];

/// One training step of Σ c·y² with a clone of a layer.
fn normalized<B: AutodiffBackend, const D: usize>(
    layer: &BatchNorm<B>,
    (x, shape): (&[f64], [usize; D]),
    c: &[f64],
) -> Normalized {
    let layer = layer.clone().fork(&Default::default());
    let x = tensor::<B, D>(x, shape).require_grad();
    let y = layer.forward(x.clone());
    let gradients = (y.clone() * y.clone() * tensor(c, shape)).sum().backward();
    let of = |param: &Param<Tensor<B, 1>>| values(param.val().grad(&gradients).unwrap());
    [values(y), values(x.grad(&gradients).unwrap()), of(&layer.weight), of(&layer.bias)]
}

fn layer<B: AutodiffBackend>(channels: usize) -> BatchNorm<B> {
    let mut layer = BatchNorm::<B>::new(channels, &Default::default());
    let gamma: Vec<f64> = noise(channels, 3).iter().map(|v| 1.0 + 0.5 * v).collect();
    layer.weight = Param::from_tensor(tensor(&gamma, [channels]));
    layer.bias = Param::from_tensor(tensor(&noise(channels, 4), [channels]));
    layer
}

fn normalizes_as_one<B: ReplicaBackend, const D: usize>(shape: [usize; D], parts: &[usize]) {
    let count = shape.iter().product();
    let x: Vec<f64> = noise(count, 1).iter().map(|v| 3.0 + 2.0 * v).collect();
    let c = noise(count, 2);
    let (alone, shared) = (layer::<B>(shape[1]), layer::<B>(shape[1]));
    let group = group::<B>(parts.len());
    let (x_parts, c_parts) = (shares(&x, shape, parts), shares(&c, shape, parts));
    for _ in 0..3 {
        let expected = normalized(&alone, (&x, shape), &c);
        let found = together(&group, parts.len(), |rank| {
            let (x, shape) = &x_parts[rank];
            Ok(normalized(&shared, (x, *shape), &c_parts[rank].0))
        });
        let found: Vec<Normalized> = found.into_iter().map(Result::unwrap).collect();
        let joined = |which: usize| found.iter().flat_map(|found| found[which].clone()).collect::<Vec<f64>>();
        let summed = |which: usize| -> Vec<f64> {
            (0..shape[1]).map(|channel| found.iter().map(|found| found[which][channel]).sum()).collect()
        };
        assert_close(&joined(0), &expected[0], 1e-5, "output");
        assert_close(&joined(1), &expected[1], 2e-5, "gradient of the input");
        assert_close(&summed(2), &expected[2], 2e-5, "gradient of the weight");
        assert_close(&summed(3), &expected[3], 2e-5, "gradient of the bias");
        for (found, expected) in named_tensors(&shared, "").iter().zip(named_tensors(&alone, "")) {
            let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
            assert_close(&wide(&found.values), &wide(&expected.values), 1e-6, &expected.name);
        }
    }
}

#[test]
fn statistics_are_those_of_the_whole_batch() {
    normalizes_as_one::<Autodiff<Flex>, 4>([5, 3, 4, 2], &[3, 2]);
    normalizes_as_one::<Autodiff<NdArray>, 4>([5, 3, 4, 2], &[3, 2]);
    normalizes_as_one::<Autodiff<Flex>, 2>([9, 5], &[1, 6, 2]);
    normalizes_as_one::<Autodiff<NdArray>, 2>([9, 5], &[1, 6, 2]);
    // One image with one place has no variance of its own.
    normalizes_as_one::<Autodiff<Flex>, 2>([2, 4], &[1, 1]);
}

#[test]
fn statistics_of_a_share_stay_with_its_device() {
    let shape = [5, 3, 4, 2];
    let (x, c) = (noise(120, 1), noise(120, 2));
    let (x, c) = (shares(&x, shape, &[3, 2]), shares(&c, shape, &[3, 2]));
    let shared = layer::<Autodiff<Flex>>(3);
    let group = ReplicaGroup::new::<Autodiff<Flex>>(2, BatchStatistics::Share);
    let found = together(&group, 2, |rank| Ok(normalized(&shared, (&x[rank].0, x[rank].1), &c[rank].0)));
    let alone: Vec<BatchNorm<Autodiff<Flex>>> = (0..2).map(|_| layer(3)).collect();
    for rank in 0..2 {
        let expected = normalized(&alone[rank], (&x[rank].0, x[rank].1), &c[rank].0);
        assert_eq!(found[rank].as_ref().unwrap(), &expected);
    }
    assert_eq!(named_tensors(&shared, ""), named_tensors(&alone[0], ""));
}

fn trains_as_one<B: ReplicaBackend>(name: BackboneName, shape: [usize; 4], parts: &[usize]) {
    let device = Default::default();
    let x = noise(shape.iter().product(), 7);
    let c = noise(shape[0] * name.feature_dim(), 8);
    let (alone, shared) = (name.init::<B>(3, &device), name.init::<B>(3, &device));
    let expected = gradients_of(&alone, tensor(&x, shape), tensor(&c, [shape[0], name.feature_dim()]));
    let x = shares(&x, shape, parts);
    let c = shares(&c, [shape[0], name.feature_dim()], parts);
    let group = group::<B>(parts.len());
    let found = together(&group, parts.len(), |rank| {
        let backbone = shared.clone().fork(&Default::default());
        Ok(gradients_of(&backbone, tensor(&x[rank].0, x[rank].1), tensor(&c[rank].0, c[rank].1)))
    });
    let found: Vec<Figures> = found.into_iter().map(Result::unwrap).collect();
    let mut sum = found[0].clone();
    for other in &found[1..] {
        for ((name, sum), (_, other)) in sum.iter_mut().zip(other) {
            match name.as_str() {
                "features" => sum.extend(other),
                _ => sum.iter_mut().zip(other).for_each(|(sum, other)| *sum += other),
            }
        }
    }
    assert_same(&sum, &expected, 2e-4, &format!("{name}, {parts:?}"));
}

#[test]
fn backbones_train_as_on_one_device() {
    trains_as_one::<Autodiff<Flex>>(BackboneName::Conv4, [5, 3, 16, 16], &[2, 3]);
    trains_as_one::<Autodiff<NdArray>>(BackboneName::Conv4, [5, 3, 16, 16], &[4, 1]);
    trains_as_one::<Autodiff<Flex>>(BackboneName::Resnet8, [6, 3, 16, 16], &[2, 1, 3]);
}

#[test]
fn rows_are_gathered_in_order_and_only_ones_own_have_a_gradient() {
    type B = Autodiff<Flex>;
    let data = noise(6 * 4, 1);
    let parts = shares(&data, [6, 4], &[1, 3, 2]);
    let found = together(&group::<B>(3), 3, |rank| {
        let own = tensor::<B, 2>(&parts[rank].0, parts[rank].1).require_grad();
        let rows = Replica::current().unwrap().gather_rows(own.clone()).map_err(|error| error.to_string())?;
        let gradient = own.grad(&(rows.clone() * rows.clone()).sum().backward()).unwrap();
        Ok((values(rows), values(gradient)))
    });
    for (rank, found) in found.into_iter().enumerate() {
        let (rows, gradient) = found.unwrap();
        assert_close(&rows, &data, 1e-7, "rows");
        let expected: Vec<f64> = parts[rank].0.iter().map(|x| 2.0 * x).collect();
        assert_close(&gradient, &expected, 1e-6, "gradient");
    }
}

/// A step in which the last member does something else than to exchange.
fn broken(last: impl Fn() -> Result<(), String> + Sync) -> (ReplicaGroup, Vec<String>) {
    let group = group::<Autodiff<Flex>>(3);
    let layer = layer::<Autodiff<Flex>>(2);
    let results = together(&group, 3, |rank| match rank {
        2 => last(),
        _ => {
            layer.forward(tensor::<_, 2>(&noise(8, 5), [4, 2]));
            Ok(())
        }
    });
    (group, results.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect())
}

#[test]
fn nobody_waits_for_a_member_that_has_failed() {
    assert_eq!(broken(|| Err("it is broken".into())).1, ["it is broken"; 3]);
    let (group, errors) = broken(|| panic!("it is {}", "gone"));
    assert_eq!(errors, ["panic: it is gone"; 3]);
    // Nor later.
    let later =
        group.enter(0, || Replica::current().unwrap().all_gather(Vec::new()).map_err(|error| error.to_string()));
    assert_eq!(later.unwrap_err().to_string(), "panic: it is gone");
}

#[test]
fn nobody_waits_for_a_member_that_has_ended_its_step() {
    let errors = broken(|| Ok(())).1;
    assert!(errors.len() >= 2 && errors.iter().all(|error| error.contains("equally often")), "{errors:?}");
}

#[test]
fn a_thread_is_a_member_only_in_a_step() {
    let group = group::<Autodiff<Flex>>(2);
    assert!(Replica::current().is_none());
    let ranks = together(&group, 2, |_| Ok(Replica::current().unwrap().rank()));
    assert_eq!(ranks.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [0, 1]);
    let _ = group.enter(0, || -> Result<(), String> { panic!("out of the step") });
    assert!(Replica::current().is_none());
}
