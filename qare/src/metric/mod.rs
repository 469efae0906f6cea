//! Metric learning: losses of embeddings with labels, alone and with the set term.
//!
//! | loss | type | pytorch-metric-learning |
//! |---|---|---|
//! | triplet margin | [`TripletMargin`] | `TripletMarginLoss`, `TripletMarginMiner` |
//! | contrastive | [`Contrastive`] | `ContrastiveLoss` |
//! | InfoNCE | [`InfoNce`] | `NTXentLoss` |
//! | supervised contrastive | [`SupCon`] | `SupConLoss` |
//! | NT-Logistic | [`NtLogistic`] | |
//! | multi-similarity | [`MultiSimilarity`] | `MultiSimilarityLoss` |
//! | SparseCLR | [`SparseClr::forward_labels`](crate::SparseClr::forward_labels) | |
//! | proxy anchor | [`ProxyAnchor`] | `ProxyAnchorLoss` |
//! | normalised softmax | [`NormalizedSoftmax`] | `NormalizedSoftmaxLoss` |
//! | ArcFace | [`ArcFace`] | `ArcFaceLoss` |
//! | loss + β·QARe | [`MetricObjective`] | |
//!
//! All take embeddings `[N, D]` and labels `[N]`: rows of one label, called an identity, are positives of each other, and all other pairs are
//! negatives. A row is no pair with itself. The first seven are functions of the pairs, and also compare embeddings with references
//! (`forward_references`). The last three learn a proxy of each identity: they are modules with parameters, and their labels are 0 to C − 1.
//!
//! Embeddings are divided by max(‖z‖, 1e-12), as pytorch-metric-learning does: lengths have no effect. Values agree with version 2.9 of it to
//! 1e-5 and gradients to 1e-4, relative, also for batches of one identity, without a positive, and with rows that are equal. Where there is
//! nothing to compare, loss and gradient are 0. Gradients are in closed form.
//!
//! Labels stay where they are. On a GPU the losses compare them there, `[N]` with `[N]`, and read nothing back. Only
//! [`MetricObjective::forward`] with a set term reads the N labels, because how many identities have enough images is a shape; that waits for
//! the device. [`MetricObjective::forward_sets`] does without, given the labels as the loader had them.
//!
//! ```
//! use burn::{backend::Autodiff, tensor::{Distribution, Int, Tensor}};
//! use burn_flex::Flex;
//! use qare::metric::{MetricLossConfig, MetricObjectiveConfig, TripletMarginConfig, Triplets};
//! use qare::QareConfig;
//!
//! type B = Autodiff<Flex>;
//! let device = Default::default();
//! let embeddings = Tensor::<B, 2>::random([8, 64], Distribution::Default, &device).require_grad();
//! let labels = Tensor::<B, 1, Int>::from_ints([0, 0, 1, 1, 1, 2, 3, 3], &device);
//! let triplet = TripletMarginConfig::new().with_margin(0.2).with_triplets(Triplets::SemiHard);
//! let objective = MetricObjectiveConfig::new(MetricLossConfig::TripletMargin(triplet))
//!     .with_qare(Some(QareConfig::new()))
//!     .with_beta(0.5)
//!     .init::<B>(&device)?;
//! let output = objective.forward(embeddings.clone(), labels)?;
//! let gradient = embeddings.grad(&output.loss.backward()).unwrap();
//! assert_eq!(gradient.dims(), [8, 64]);
//! # Ok::<(), qare::ObjectiveError>(())
//! ```

mod arc_face;
mod contrastive;
mod distances;
mod identity_sets;
mod info_nce;
mod log_sum;
mod loss;
mod multi_similarity;
mod normalized_softmax;
mod nt_logistic;
mod objective;
mod pairs;
mod proxies;
mod proxy_anchor;
mod sparse_clr;
mod sup_con;
mod triplet_margin;

pub use arc_face::{ArcFace, ArcFaceConfig};
pub use contrastive::{Contrastive, ContrastiveConfig};
pub use identity_sets::IdentitySets;
pub use info_nce::{InfoNce, InfoNceConfig};
pub use loss::{MetricLoss, MetricLossConfig};
pub use multi_similarity::{MultiSimilarity, MultiSimilarityConfig};
pub use normalized_softmax::{NormalizedSoftmax, NormalizedSoftmaxConfig};
pub use nt_logistic::{NtLogistic, NtLogisticConfig};
pub use objective::{MetricObjective, MetricObjectiveConfig};
pub use proxy_anchor::{ProxyAnchor, ProxyAnchorConfig};
pub use sup_con::{SupCon, SupConConfig};
pub use triplet_margin::{TripletMargin, TripletMarginConfig, Triplets};
