//! Both answers for the backends that there are, with autodiff and without.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn_flex::Flex;
use burn_ndarray::NdArray;
use qare_host::{HostBackend, HostOperation, computes_on_host, dispatch};

/// The values of a tensor, and how they were reached.
struct Read;

impl HostOperation for Read {
    type Input<B: Backend> = Tensor<B, 2>;
    type Output<B: Backend> = (&'static str, Vec<f32>, Tensor<B, 2>);

    fn plain<H: HostBackend>(input: Tensor<H, 2>) -> Self::Output<H> {
        let shape = input.shape();
        let values = H::slice(&H::values(input.into_primitive().tensor())).to_vec();
        let again = H::tensor(values.clone(), shape);
        ("plain", values, Tensor::from_primitive(burn::tensor::TensorPrimitive::Float(again)))
    }

    fn with_autodiff<H: HostBackend>(input: Tensor<Autodiff<H>, 2>) -> Self::Output<Autodiff<H>> {
        let (_, values, tensor) = Self::plain(input.inner());
        ("with autodiff", values, Tensor::from_inner(tensor))
    }
}

/// What `Read` makes of a tensor whose values are not contiguous: the transpose of [[0, 1, 2], [3, 4, 5]].
fn read<B: Backend>() -> Option<(&'static str, Vec<f32>)> {
    let device = Default::default();
    let tensor = Tensor::<B, 2>::from_data([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], &device).transpose();
    match dispatch::<Read, B>(tensor.clone()) {
        Ok((how, values, again)) => {
            assert_eq!(again.into_data(), tensor.into_data());
            Some((how, values))
        }
        Err(given_back) => {
            assert_eq!(given_back.into_data(), tensor.into_data());
            None
        }
    }
}

#[test]
fn flex_and_ndarray_are_the_host_without_any_feature() {
    assert!(computes_on_host::<Flex>(&Default::default()));
    assert!(computes_on_host::<Autodiff<Flex>>(&Default::default()));
    assert!(computes_on_host::<Autodiff<Flex, BalancedCheckpointing>>(&Default::default()));
    assert!(computes_on_host::<NdArray>(&Default::default()));
    assert!(computes_on_host::<NdArray<f64>>(&Default::default()));
    assert!(computes_on_host::<Autodiff<NdArray>>(&Default::default()));
}

#[test]
fn values_are_read_and_made_where_a_feature_gives_the_type() {
    let expected = |how, feature: bool| feature.then(|| (how, vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
    let (flex, ndarray) = (cfg!(feature = "flex"), cfg!(feature = "ndarray"));
    assert_eq!(read::<Flex>(), expected("plain", flex));
    assert_eq!(read::<Autodiff<Flex>>(), expected("with autodiff", flex));
    assert_eq!(read::<NdArray>(), expected("plain", ndarray));
    assert_eq!(read::<Autodiff<NdArray>>(), expected("with autodiff", ndarray));
}

#[test]
fn other_types_get_their_input_back() {
    assert_eq!(read::<Autodiff<Flex, BalancedCheckpointing>>(), None);
    assert_eq!(read::<Autodiff<NdArray, BalancedCheckpointing>>(), None);
    assert_eq!(read::<Autodiff<Autodiff<Flex>>>(), None);
}

#[cfg(feature = "flex")]
#[test]
fn a_vector_comes_back_to_its_only_holder() {
    let tensor = || Flex::tensor((0..6).map(|value| value as f32).collect(), [2, 3]);
    assert_eq!(Flex::into_vec(tensor()), Some(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
    let (held, values) = (tensor(), tensor());
    let again = held.clone();
    assert_eq!(Flex::into_vec(held), None);
    assert_eq!(Flex::slice(&again), Flex::slice(&values));
    // A part of the values of a tensor.
    let rows = Tensor::<Flex, 2>::from_primitive(burn::tensor::TensorPrimitive::Float(tensor()));
    assert_eq!(Flex::into_vec(rows.narrow(0, 0, 1).into_primitive().tensor()), None);
}
