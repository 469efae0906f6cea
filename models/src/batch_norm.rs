use burn::module::{Module, Param, ParamId, RunningState};
use burn::tensor::{Tensor, backend::Backend};

use crate::replicas::Replica;
use crate::running_statistics::RunningStatistics;

/// Batch normalisation (Ioffe & Szegedy 2015) with PyTorch's semantics and names.
///
/// For each channel, over all other dimensions of the input,
/// `y = (x − mean) / √(var + ε) · weight + bias`.
///
/// - **Training** (an autodiff backend): mean and *biased* variance of the batch. The running
///   statistics move by `momentum` towards the batch's mean and *unbiased* variance.
/// - **Training on several devices** (a [group](crate::replicas) of threads): mean and variance of the whole batch, or of each
///   device's [share](crate::replicas::BatchStatistics::Share) if the group says so. The first member updates the running
///   statistics.
/// - **Training of a [frozen](Self::frozen) layer**: the running statistics, as in evaluation. Neither they nor weight and bias change.
/// - **Evaluation** (any other backend, so a module after
///   [`valid`](burn::module::AutodiffModule::valid)): the running statistics.
///
/// The layer computes in the type of its parameters, f32, and returns the type of the input.
///
/// It differs from Burn's own layer in three points: the running variance is unbiased, it is faster on the CPU backends, and
/// running statistics are current as soon as `forward` returns, also to visitors, records and files.
///
/// # Shared state
///
/// Clones share their running statistics, as in all of Burn's layers: a clone that is made for one step updates those of the
/// original. So does loading a record or weights into a clone. `valid()` makes an independent copy. Threads that train clones
/// at the same time update the statistics in the order in which they finish, which is not reproducible.
#[derive(Module, Debug)]
pub struct BatchNorm<B: Backend> {
    /// Scale γ, `[C]`, initially 1.
    pub weight: Param<Tensor<B, 1>>,
    /// Shift β, `[C]`, initially 0.
    pub bias: Param<Tensor<B, 1>>,
    /// Running mean, `[C]`, initially 0.
    pub running_mean: RunningState<Tensor<B, 1>>,
    /// Running unbiased variance, `[C]`, initially 1.
    pub running_var: RunningState<Tensor<B, 1>>,
    /// Number of training batches seen, `[1]`. This layer does not use it; PyTorch's layer expects it in a weights file.
    pub num_batches_tracked: RunningState<Tensor<B, 1>>,
    epsilon: f64,
    momentum: f64,
    frozen: bool,
}

impl<B: Backend> BatchNorm<B> {
    /// A layer for `channels` channels with ε = 1e-5 and momentum 0.1.
    pub fn new(channels: usize, device: &B::Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::ones([channels], device)),
            bias: Param::from_tensor(Tensor::zeros([channels], device)),
            running_mean: RunningState::new(Tensor::zeros([channels], device)),
            running_var: RunningState::new(Tensor::ones([channels], device)),
            num_batches_tracked: RunningState::new(Tensor::zeros([1], device)),
            epsilon: 1e-5,
            momentum: 0.1,
            frozen: false,
        }
    }

    /// The layer with fixed statistics, weight and bias: in training it computes what it computes in evaluation, and they get no gradient.
    pub fn frozen(self) -> Self {
        Self { frozen: true, ..self }
    }

    /// Normalises `input`.
    ///
    /// # Shapes
    ///
    /// `[N, C, …]` → `[N, C, …]`, of any rank from 2 up.
    ///
    /// # Panics
    ///
    /// If the rank is 1, if the input's channels are not the layer's, and in training if a channel has fewer than two values, which
    /// have no variance.
    pub fn forward<const D: usize>(&self, input: Tensor<B, D>) -> Tensor<B, D> {
        assert!(D >= 2, "BatchNorm takes [N, C, ...], not a tensor of rank {D}");
        let shape = input.shape();
        let layout = Rows::of(&input.dims());
        assert_eq!(
            layout.channels,
            self.weight.lazy_shape()[0],
            "BatchNorm: channels of the input (left) and of the layer (right)"
        );

        // [N, C, …] → [N, C·P]: values per channel become one row that broadcasts along the first dimension, which the CPU backends
        // do fast.
        let dtype = input.dtype();
        let rows = input.reshape([layout.images, layout.row_len()]).cast(self.weight.val().dtype());
        let output = match self.trains() {
            true => self.forward_train(rows, layout),
            false => self.forward_eval(rows, layout),
        };
        output.cast(dtype).reshape(shape)
    }

    fn forward_eval(&self, rows: Tensor<B, 2>, layout: Rows) -> Tensor<B, 2> {
        let RunningStatistics { mean, variance, .. } = self.running();
        let (weight, bias) = match self.frozen {
            true => (self.weight.val().detach(), self.bias.val().detach()),
            false => (self.weight.val(), self.bias.val()),
        };
        let scale = weight / (variance + self.epsilon).sqrt();

        (rows - layout.spread(mean)) * layout.spread(scale) + layout.spread(bias)
    }

    /// Normalises with the statistics of the batch. Three terms have the usual values and gradients, but need fewer passes of
    /// autodiff over full-size tensors:
    ///
    /// - `centred` subtracts the mean as a constant. The gradient of the mean, −scale·Σ∂y, goes through `shift`, where
    ///   (mean − constant mean) is zero: Σ∂y is summed once for the mean and β.
    /// - `half` = mean(centred · constant centred) has the value of the variance and half its gradient, since one of the two
    ///   factors is constant. `2·half − constant half` has the value and the whole gradient.
    /// - The gradient of the variance through the mean is zero, because Σ(x − mean) is zero.
    fn forward_train(&self, rows: Tensor<B, 2>, layout: Rows) -> Tensor<B, 2> {
        let replica = Replica::with_whole_statistics();
        let of_batch = |mean: Tensor<B, 1>| match &replica {
            Some(replica) => replica.mean(mean, layout.values_per_channel() as f64),
            None => (mean, layout.values_per_channel() as f64),
        };
        let (mean, count) = of_batch(layout.channel_mean(rows.clone()));
        assert!(count > 1.0, "BatchNorm: training needs more than one value per channel, the input has {count}");
        let const_mean = mean.clone().detach();
        let centred = rows - layout.spread(const_mean.clone()); // [N, C·P]

        let (half, _) = of_batch(layout.channel_mean(centred.clone() * centred.clone().detach()));
        let const_var = half.clone().detach();
        let var = half * 2.0 - const_var.clone();

        let scale = self.weight.val() / (var + self.epsilon).sqrt(); // [C]
        let shift = self.bias.val() - (mean - const_mean.clone()) * scale.clone().detach();

        let unbiased = const_var * (count / (count - 1.0));
        self.set_running(|| self.running().after([const_mean, unbiased]));

        centred * layout.spread(scale) + layout.spread(shift)
    }

    /// Whether the layer normalises with the statistics of the batch.
    pub(crate) fn trains(&self) -> bool {
        B::ad_enabled(&self.weight.lazy_device()) && !self.frozen
    }

    pub(crate) fn epsilon(&self) -> f64 {
        self.epsilon
    }

    /// The running statistics, on the device of the parameters.
    pub(crate) fn running(&self) -> RunningStatistics<B> {
        let device = self.weight.lazy_device();
        let current = |state: &RunningState<Tensor<B, 1>>| state.value().to_device(&device);
        RunningStatistics {
            mean: current(&self.running_mean),
            variance: current(&self.running_var),
            batches: current(&self.num_batches_tracked),
            momentum: self.momentum,
        }
    }

    /// Sets the running statistics, unless another member of a group of replicas does.
    pub(crate) fn set_running(&self, of: impl FnOnce() -> RunningStatistics<B>) {
        if Replica::is_first_or_only() {
            let of = of();
            set_now(&self.running_mean, of.mean);
            set_now(&self.running_var, of.variance);
            set_now(&self.num_batches_tracked, of.batches);
        }
    }
}

/// Sets a running state, for all clones and at once, as a record does. `RunningState::update` waits for a later call, and divides by
/// the number of threads that have called it.
fn set_now<B: Backend>(state: &RunningState<Tensor<B, 1>>, value: Tensor<B, 1>) {
    let record = Param::initialized(ParamId::new(), value.detach());
    state.clone().load_record(record);
}

/// An input `[N, C, …]` as rows `[N, C·P]`, with P places per channel.
#[derive(Clone, Copy)]
struct Rows {
    images: usize,
    channels: usize,
    places: usize,
}

impl Rows {
    fn of(dims: &[usize]) -> Self {
        Self { images: dims[0], channels: dims[1], places: dims[2..].iter().product() }
    }

    fn row_len(self) -> usize {
        self.channels * self.places
    }

    fn values_per_channel(self) -> usize {
        self.images * self.places
    }

    /// Repeats the value of each channel for its places, `[C]` → `[1, C·P]`.
    fn spread<B: Backend>(self, per_channel: Tensor<B, 1>) -> Tensor<B, 2> {
        per_channel.reshape([self.channels, 1]).expand([self.channels, self.places]).reshape([1, self.row_len()])
    }

    /// Means over images and places, `[N, C·P]` → `[C]`.
    fn channel_mean<B: Backend>(self, rows: Tensor<B, 2>) -> Tensor<B, 1> {
        rows.sum_dim(0) // [1, C·P]
            .reshape([self.channels, self.places])
            .sum_dim(1) // [C, 1]
            .div_scalar(self.values_per_channel() as f64)
            .reshape([self.channels])
    }
}
