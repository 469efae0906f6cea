//! Products of matrices whose kernel is right for their size.

use burn_cubecl::CubeRuntime;
use burn_cubecl::kernel::matmul::utils::init_matmul_output;
use burn_cubecl::kernel::matmul::{MatmulStrategy, matmul};
use burn_cubecl::tensor::CubeTensor;
use cubek::matmul::definition::{MatmulElems, MatmulGlobalElems};
use cubek::matmul::launch::{Strategy, launch_ref};
use cubek::std::InputBinding;

/// Most of the units of a plane, unless the device says more.
const PLANE: usize = 32;

/// The product of the two inputs.
///
/// Autotuning may choose kernels that add up two stages of the sum at a time. In CubeK 0.2 these read beyond the sum, and add what they
/// find, where it has an odd number of whole stages (tracel-ai/cubek#434 and #441). A stage is a power of 2, and of two matrices no longer
/// than a plane is wide or 32. So autotuning serves lengths that are multiples of twice that, and odd ones but 1. Others, and vectors of even
/// lengths, are left to a kernel that adds up one stage at a time.
pub(crate) fn product<R: CubeRuntime>(inputs: Vec<CubeTensor<R>>) -> CubeTensor<R> {
    let [lhs, rhs]: [CubeTensor<R>; 2] = inputs.try_into().unwrap_or_else(|_| panic!("a product has two inputs"));
    let dtype = lhs.dtype;
    let last = lhs.meta.shape.len() - 1;
    let (rows, length, columns) = (lhs.meta.shape[last - 1], lhs.meta.shape[last], rhs.meta.shape[last]);
    let plane = PLANE.max(lhs.client.properties().hardware.plane_size_max as usize);
    let whole = rows > 1 && columns > 1 && length.is_multiple_of(2 * plane);
    let no_stage = length > 1 && !length.is_multiple_of(2);
    if !whole && !no_stage {
        let output = init_matmul_output(&lhs, &rhs, dtype);
        let [left, right] = [&lhs, &rhs].map(|matrix| InputBinding::new(matrix.clone().binding(), dtype.into()));
        let types = MatmulGlobalElems { lhs: dtype.into(), rhs: dtype.into(), out: dtype.into() };
        for strategy in [Strategy::SimpleUnit(Default::default()), Strategy::Naive] {
            let (left, right, into) = (left.clone(), right.clone(), output.clone().binding());
            let mut types = MatmulElems::from_globals(&types);
            if launch_ref(&strategy, &lhs.client, left, right, into, &mut types).is_ok() {
                return output;
            }
        }
    }
    matmul(lhs, rhs, None, MatmulStrategy::default(), dtype).expect("a kernel serves matrices of any size")
}
