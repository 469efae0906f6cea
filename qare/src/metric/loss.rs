use burn::config::Config;
use burn::module::{Content, Module, ModuleDisplay, Param};
use burn::tensor::{Int, Tensor, backend::Backend};

use super::{
    ArcFace, ArcFaceConfig, Contrastive, ContrastiveConfig, InfoNce, InfoNceConfig, MultiSimilarity,
    MultiSimilarityConfig, NormalizedSoftmax, NormalizedSoftmaxConfig, NtLogistic, NtLogisticConfig, ProxyAnchor,
    ProxyAnchorConfig, SupCon, SupConConfig, TripletMargin, TripletMarginConfig, sparse_clr,
};
use crate::{ObjectiveError, SparseClr, SparseClrConfig};

/// Configuration of a loss with labels.
#[derive(Config, Debug)]
#[non_exhaustive]
pub enum MetricLossConfig {
    /// Triplet margin.
    TripletMargin(TripletMarginConfig),
    /// Contrastive.
    Contrastive(ContrastiveConfig),
    /// InfoNCE.
    InfoNce(InfoNceConfig),
    /// Supervised contrastive.
    SupCon(SupConConfig),
    /// NT-Logistic.
    NtLogistic(NtLogisticConfig),
    /// Multi-similarity.
    MultiSimilarity(MultiSimilarityConfig),
    /// SparseCLR with labels. Unlike [`SparseClr::forward_labels`], it is 0 where no row has a positive.
    SparseClr(SparseClrConfig),
    /// Proxy anchor.
    ProxyAnchor(ProxyAnchorConfig),
    /// Normalised softmax.
    NormalizedSoftmax(NormalizedSoftmaxConfig),
    /// ArcFace.
    ArcFace(ArcFaceConfig),
}

impl MetricLossConfig {
    /// The loss, with its proxies, if it has any, on the device.
    ///
    /// # Errors
    /// When a number of it is out of range.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<MetricLoss<B>, ObjectiveError> {
        Ok(match self {
            Self::TripletMargin(config) => MetricLoss::TripletMargin(config.init()?),
            Self::Contrastive(config) => MetricLoss::Contrastive(config.init()?),
            Self::InfoNce(config) => MetricLoss::InfoNce(config.init()?),
            Self::SupCon(config) => MetricLoss::SupCon(config.init()?),
            Self::NtLogistic(config) => MetricLoss::NtLogistic(config.init()?),
            Self::MultiSimilarity(config) => MetricLoss::MultiSimilarity(config.init()?),
            Self::SparseClr(config) => MetricLoss::SparseClr(config.init()?),
            Self::ProxyAnchor(config) => MetricLoss::ProxyAnchor(config.init(device)?),
            Self::NormalizedSoftmax(config) => MetricLoss::NormalizedSoftmax(config.init(device)?),
            Self::ArcFace(config) => MetricLoss::ArcFace(config.init(device)?),
        })
    }
}

/// A loss with labels.
#[derive(Module, Debug)]
#[module(custom_display)]
#[non_exhaustive]
pub enum MetricLoss<B: Backend> {
    /// Triplet margin.
    TripletMargin(TripletMargin),
    /// Contrastive.
    Contrastive(Contrastive),
    /// InfoNCE.
    InfoNce(InfoNce),
    /// Supervised contrastive.
    SupCon(SupCon),
    /// NT-Logistic.
    NtLogistic(NtLogistic),
    /// Multi-similarity.
    MultiSimilarity(MultiSimilarity),
    /// SparseCLR with labels. Unlike [`SparseClr::forward_labels`], it is 0 where no row has a positive.
    SparseClr(SparseClr),
    /// Proxy anchor.
    ProxyAnchor(ProxyAnchor<B>),
    /// Normalised softmax.
    NormalizedSoftmax(NormalizedSoftmax<B>),
    /// ArcFace.
    ArcFace(ArcFace<B>),
}

impl<B: Backend> ModuleDisplay for MetricLoss<B> {
    fn custom_content(&self, content: Content) -> Option<Content> {
        self.described(content).optional()
    }
}

impl<B: Backend> MetricLoss<B> {
    /// `content` with the loss in it.
    pub(super) fn described(&self, content: Content) -> Content {
        match self {
            Self::TripletMargin(loss) => content.add("loss", loss),
            Self::Contrastive(loss) => content.add("loss", loss),
            Self::InfoNce(loss) => content.add("loss", loss),
            Self::SupCon(loss) => content.add("loss", loss),
            Self::NtLogistic(loss) => content.add("loss", loss),
            Self::MultiSimilarity(loss) => content.add("loss", loss),
            Self::SparseClr(loss) => content.add("loss", loss),
            Self::ProxyAnchor(loss) => content.add("loss", loss),
            Self::NormalizedSoftmax(loss) => content.add("loss", loss),
            Self::ArcFace(loss) => content.add("loss", loss),
        }
    }

    /// The proxies `[C, D]`, if the loss learns any.
    pub fn proxies(&self) -> Option<&Param<Tensor<B, 2>>> {
        match self {
            Self::ProxyAnchor(loss) => Some(&loss.proxies),
            Self::NormalizedSoftmax(loss) => Some(&loss.proxies),
            Self::ArcFace(loss) => Some(&loss.proxies),
            _ => None,
        }
    }

    /// The loss `[1]` of embeddings `[N, D]` with labels `[N]`, in f32 also for embeddings of f16 and bf16.
    ///
    /// # Errors
    /// As the loss's own, such as [`TripletMargin::forward`] and [`ProxyAnchor::forward`].
    pub fn forward(&self, embeddings: Tensor<B, 2>, labels: Tensor<B, 1, Int>) -> Result<Tensor<B, 1>, ObjectiveError> {
        match self {
            Self::TripletMargin(loss) => loss.forward(embeddings, labels),
            Self::Contrastive(loss) => loss.forward(embeddings, labels),
            Self::InfoNce(loss) => loss.forward(embeddings, labels),
            Self::SupCon(loss) => loss.forward(embeddings, labels),
            Self::NtLogistic(loss) => loss.forward(embeddings, labels),
            Self::MultiSimilarity(loss) => loss.forward(embeddings, labels),
            Self::SparseClr(loss) => sparse_clr::labelled(loss, embeddings, labels),
            Self::ProxyAnchor(loss) => loss.forward(embeddings, labels),
            Self::NormalizedSoftmax(loss) => loss.forward(embeddings, labels),
            Self::ArcFace(loss) => loss.forward(embeddings, labels),
        }
    }

    /// The loss `[1]` of two view sets `[B, D]` with labels `[B]`: row i of both is an image of one identity.
    ///
    /// A loss over pairs contrasts the rows of one set with those of the other, and none of a set with each other: it is the mean of the loss
    /// of the first with the second for references, and of the second with the first. One over proxies is that of all 2B rows.
    ///
    /// # Errors
    /// When the two have other shapes, and as [`forward`](Self::forward).
    pub fn forward_pair(
        &self,
        first: Tensor<B, 2>,
        second: Tensor<B, 2>,
        labels: Tensor<B, 1, Int>,
    ) -> Result<Tensor<B, 1>, ObjectiveError> {
        if first.dims() != second.dims() {
            return Err(ObjectiveError::UnlikeViews { first: first.dims(), second: second.dims() });
        }
        macro_rules! both_ways {
            ($of:expr) => {{
                let there = $of(first.clone(), labels.clone(), second.clone(), labels.clone())?;
                let back = $of(second, labels.clone(), first, labels)?;
                Ok((there + back) * 0.5)
            }};
        }
        match self {
            Self::TripletMargin(loss) => both_ways!(|a, y, b, z| loss.forward_references(a, y, b, z)),
            Self::Contrastive(loss) => both_ways!(|a, y, b, z| loss.forward_references(a, y, b, z)),
            Self::InfoNce(loss) => both_ways!(|a, y, b, z| loss.forward_references(a, y, b, z)),
            Self::SupCon(loss) => both_ways!(|a, y, b, z| loss.forward_references(a, y, b, z)),
            Self::NtLogistic(loss) => both_ways!(|a, y, b, z| loss.forward_references(a, y, b, z)),
            Self::MultiSimilarity(loss) => both_ways!(|a, y, b, z| loss.forward_references(a, y, b, z)),
            Self::SparseClr(loss) => both_ways!(|a, y, b, z| sparse_clr::referenced(loss, a, y, b, z)),
            Self::ProxyAnchor(_) | Self::NormalizedSoftmax(_) | Self::ArcFace(_) => {
                self.forward(Tensor::cat(vec![first, second], 0), Tensor::cat(vec![labels.clone(), labels], 0))
            }
        }
    }
}
