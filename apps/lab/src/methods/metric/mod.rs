//! Metric learning: an embedding in which images of one class are near each other, trained with labels on batches of several images of each
//! class. The losses are those of [`qare::metric`].

mod name;
mod triplets;

use burn::module::{Module, ParamId};
use burn::tensor::backend::Backend;
use burn::tensor::{Device, Int, Tensor};
use qare::metric::{
    ArcFaceConfig, ContrastiveConfig, IdentitySets, InfoNceConfig, MetricLoss, MetricLossConfig, MetricObjective,
    MetricObjectiveConfig, MultiSimilarityConfig, NormalizedSoftmaxConfig, NtLogisticConfig, ProxyAnchorConfig,
    SupConConfig, TripletMarginConfig,
};
use qare::{QareConfig, SparseClrConfig, Views};
use qare_data::crop::RandomCrop;
use qare_data::{Augmentation, DatasetName, ViewBatch};
use qare_models::replicas::Replica;
use qare_models::{
    Backbone, EmbeddingHead, EmbeddingHeadConfig, InitialWeights, NamedTensor, StateDict, WeightStream, WeightsError,
    named_tensors,
};

pub use name::{MetricLossName, MetricMethod};
pub use triplets::TripletChoice;

use super::pretext::Validating;
use super::{Embeddings, Facts, Figure, Method, MethodName, Plan, Pretext, Scope, StepLoss};
use crate::error::{LabError, Result};
use crate::precision::single;
use crate::recipe::Recipe;

/// Prefix of the embedding head's tensors in files.
pub const EMBEDDING: &str = "embedding";
/// Prefix of the proxies in files.
const LOSS: &str = "loss_fn";

/// The embedding head and the objective, with the proxies of the loss if it learns any.
#[derive(Module, Debug)]
pub struct MetricLearning<B: Backend> {
    /// `None` where the embedding is the features.
    embedding: Option<EmbeddingHead<B>>,
    objective: MetricObjective<B>,
    /// Set k of the set term has image k of each class.
    #[module(skip)]
    sets: IdentitySets,
    /// The learning rate of the proxies, relative to that of the networks.
    #[module(skip)]
    proxy_rate: f64,
}

impl MetricMethod {
    /// Returns the method of a recipe.
    fn of(recipe: &Recipe) -> Self {
        match &recipe.method {
            MethodName::BuiltIn(Method::Metric(method)) => *method,
            other => unreachable!("{other} is not a method of metric learning"),
        }
    }

    /// Returns the loss of a recipe, on images of so many classes.
    fn loss(self, recipe: &Recipe, classes: usize) -> MetricLossConfig {
        let Recipe { margin, temperature, .. } = *recipe;
        let dim = recipe.embedding_dim();
        match self.loss {
            MetricLossName::Triplet => MetricLossConfig::TripletMargin(
                TripletMarginConfig::new().with_margin(margin).with_triplets(recipe.triplets.into()),
            ),
            MetricLossName::Contrastive => {
                let config = ContrastiveConfig::new();
                let pos_margin = recipe.positive_margin.unwrap_or(config.pos_margin);
                MetricLossConfig::Contrastive(config.with_pos_margin(pos_margin).with_neg_margin(margin))
            }
            MetricLossName::InfoNce => MetricLossConfig::InfoNce(InfoNceConfig::new().with_temperature(temperature)),
            MetricLossName::SupCon => MetricLossConfig::SupCon(SupConConfig::new().with_temperature(temperature)),
            MetricLossName::NtLogistic => {
                MetricLossConfig::NtLogistic(NtLogisticConfig::new().with_temperature(temperature))
            }
            MetricLossName::MultiSimilarity => {
                let MultiSimilarityConfig { alpha, beta, base } = MultiSimilarityConfig::new();
                MetricLossConfig::MultiSimilarity(MultiSimilarityConfig {
                    alpha: recipe.positive_scale.unwrap_or(alpha),
                    beta: recipe.negative_scale.unwrap_or(beta),
                    base: recipe.base_similarity.unwrap_or(base),
                })
            }
            MetricLossName::SparseClr => {
                MetricLossConfig::SparseClr(SparseClrConfig { margin, ..SparseClrConfig::new() })
            }
            MetricLossName::ProxyAnchor => {
                let config = ProxyAnchorConfig::new(classes, dim);
                let alpha = recipe.scale.unwrap_or(config.alpha);
                MetricLossConfig::ProxyAnchor(config.with_margin(margin).with_alpha(alpha))
            }
            MetricLossName::NormSoftmax => MetricLossConfig::NormalizedSoftmax(
                NormalizedSoftmaxConfig::new(classes, dim).with_temperature(temperature),
            ),
            MetricLossName::ArcFace => {
                let config = ArcFaceConfig::new(classes, dim);
                let scale = recipe.scale.unwrap_or(config.scale);
                MetricLossConfig::ArcFace(config.with_margin_degrees(margin).with_scale(scale))
            }
        }
    }

    /// Sets the defaults in which the method differs from the common protocol: margin and temperature are those of the loss.
    pub(super) fn set_defaults(self, recipe: &mut Recipe) {
        match self.loss(recipe, 1) {
            MetricLossConfig::TripletMargin(_) => recipe.margin = TripletMarginConfig::new().margin,
            MetricLossConfig::Contrastive(_) => recipe.margin = ContrastiveConfig::new().neg_margin,
            MetricLossConfig::InfoNce(_) => recipe.temperature = InfoNceConfig::new().temperature,
            MetricLossConfig::SupCon(_) => recipe.temperature = SupConConfig::new().temperature,
            MetricLossConfig::NtLogistic(_) => recipe.temperature = NtLogisticConfig::new().temperature,
            MetricLossConfig::SparseClr(_) => recipe.margin = SparseClrConfig::new().margin,
            MetricLossConfig::ProxyAnchor(_) => recipe.margin = ProxyAnchorConfig::new(1, 1).margin,
            MetricLossConfig::NormalizedSoftmax(_) => {
                recipe.temperature = NormalizedSoftmaxConfig::new(1, 1).temperature;
            }
            MetricLossConfig::ArcFace(_) => recipe.margin = ArcFaceConfig::new(1, 1).margin_degrees,
            _ => {}
        }
    }

    /// Returns the settings that this method uses, and not every other.
    pub(crate) fn settings(self) -> Vec<&'static str> {
        let of_loss: &[&str] = match self.loss {
            MetricLossName::Triplet => &["margin", "triplets"],
            MetricLossName::Contrastive => &["margin", "positive_margin"],
            MetricLossName::SparseClr => &["margin"],
            MetricLossName::InfoNce | MetricLossName::SupCon | MetricLossName::NtLogistic => &["temperature"],
            MetricLossName::MultiSimilarity => &["positive_scale", "negative_scale", "base_similarity"],
            MetricLossName::ProxyAnchor | MetricLossName::ArcFace => &["margin", "scale", "proxy_rate"],
            MetricLossName::NormSoftmax => &["temperature", "proxy_rate"],
        };
        let of_set_term: &[&str] = if self.set_term { &["beta", "similarity_floor", "set_term"] } else { &[] };
        [&["images_per_identity", "validation_share", "source_size"], of_loss, of_set_term].concat()
    }

    /// Returns the training plan.
    pub(super) fn plan(self, recipe: &Recipe) -> Plan {
        let set_term = self.set_term.then_some(Figure::term("QARe"));
        let figures = [Figure::term("Pairwise")].into_iter().chain(set_term);
        Plan {
            labelled: true,
            images_per_identity: Some(recipe.images_per_identity),
            validating: Validating::Recall,
            ..Plan::new(augmentation(recipe.dataset), 1).with_figures(figures)
        }
    }
}

/// Returns the augmentation of a dataset's images: shifted and mirrored people, crops of characters, which are not mirrored, and cropped and
/// mirrored photographs.
fn augmentation(dataset: DatasetName) -> Augmentation {
    match dataset {
        DatasetName::Omniglot => Augmentation::ResizedCrop { crop: RandomCrop::CHARACTER, flip: false },
        DatasetName::Market1501 | DatasetName::Cuhk03 => Augmentation::Crop,
        _ => Augmentation::ResizedCrop { crop: RandomCrop::PHOTOGRAPH, flip: true },
    }
}

/// Returns the loss with proxies that are a function of the seed. Their distribution is that of the loss.
fn with_proxies<B: Backend>(loss: MetricLoss<B>, recipe: &Recipe, classes: usize, device: &Device<B>) -> MetricLoss<B> {
    let drawn = |std: f64| {
        let mut weights = InitialWeights::new(recipe.seed, WeightStream::Proxies);
        weights.normal_matrix([classes, recipe.embedding_dim()], std, device)
    };
    match loss {
        MetricLoss::ProxyAnchor(mut loss) => {
            loss.proxies = drawn((2.0 / classes as f64).sqrt());
            MetricLoss::ProxyAnchor(loss)
        }
        MetricLoss::NormalizedSoftmax(mut loss) => {
            loss.proxies = drawn(1.0);
            MetricLoss::NormalizedSoftmax(loss)
        }
        MetricLoss::ArcFace(mut loss) => {
            loss.proxies = drawn(1.0);
            MetricLoss::ArcFace(loss)
        }
        loss => loss,
    }
}

/// Returns the labels of all devices, `[N]`, given those of this one.
fn gathered<B: Backend>(replica: &Replica, labels: Tensor<B, 1, Int>) -> Result<Tensor<B, 1, Int>> {
    // Labels are below 2¹⁶, which f32 holds exactly.
    let rows = labels.float().unsqueeze_dim(1); // [N_d, 1]
    Ok(replica.gather_rows(rows).map_err(LabError::failed)?.squeeze_dim::<1>(1).int())
}

impl<B: Backend> MetricLearning<B> {
    /// Returns the proxies, if the loss has any.
    fn proxies(&self) -> Option<ParamId> {
        self.objective.loss.proxies().map(|proxies| proxies.id)
    }
}

impl<B: Backend> Pretext<B> for MetricLearning<B> {
    fn plan(recipe: &Recipe) -> Plan {
        MetricMethod::of(recipe).plan(recipe)
    }

    fn new(recipe: &Recipe, facts: &Facts, device: &Device<B>) -> Result<Self> {
        let usage = |error: qare::ObjectiveError| LabError::Usage(error.to_string());
        let method = MetricMethod::of(recipe);
        let views = Views::new(recipe.images_per_identity).map_err(usage)?;
        let qare = QareConfig { similarity_floor: recipe.similarity_floor.0, set_term: recipe.set_term };
        let config = MetricObjectiveConfig::new(method.loss(recipe, facts.classes))
            .with_qare(method.set_term.then_some(qare))
            .with_beta(recipe.beta)
            .with_sets(recipe.images_per_identity);
        let mut objective = config.init::<B>(device).map_err(usage)?;
        objective.loss = with_proxies(objective.loss, recipe, facts.classes, device);
        let head = EmbeddingHeadConfig::new(recipe.backbone.feature_dim(), recipe.outter_fs);
        let embedding = (recipe.outter_fs > 0).then(|| head.init(recipe.seed, device));
        Ok(Self { embedding, objective, sets: IdentitySets::in_order(views), proxy_rate: recipe.proxy_rate() })
    }

    fn rates(&self) -> Vec<(ParamId, f64)> {
        self.proxies().into_iter().map(|proxies| (proxies, self.proxy_rate)).collect()
    }

    fn embed(&self, features: Tensor<B, 2>) -> Tensor<B, 2> {
        match &self.embedding {
            Some(head) => head.forward(features),
            None => features,
        }
    }

    fn forward(&self, backbone: &Backbone<B>, batch: ViewBatch<B>) -> Result<StepLoss<B>> {
        let embeddings = single(self.embed(backbone.forward(batch.images.squeeze_dim(1)))); // [P·M, D]
        let embeddings = match Replica::current() {
            None => embeddings,
            Some(replica) => replica.gather_rows(embeddings).map_err(LabError::failed)?,
        };
        let of_step = Embeddings::of(&embeddings, self.sets.views().count());
        let output = match Replica::current() {
            None => self.objective.forward_sets(embeddings, batch.labels, &self.sets),
            Some(replica) => {
                let labels = gathered(&replica, batch.labels)?;
                // All devices compute the gradient of the proxies, so that of the first is the whole.
                let first = replica.rank() == 0;
                let objective = if first { self.objective.clone() } else { self.objective.clone().no_grad() };
                objective.forward_sets(embeddings, labels, &self.sets)
            }
        }
        .map_err(LabError::failed)?;
        let figures = [output.pairwise].into_iter().chain(output.qare).collect();
        Ok(StepLoss { loss: output.loss, figures, scope: Scope::Batch, embeddings: of_step })
    }

    fn weights(&self) -> Vec<NamedTensor> {
        let mut tensors = self.embedding.as_ref().map_or_else(Vec::new, |head| named_tensors(head, EMBEDDING));
        match &self.objective.loss {
            MetricLoss::ProxyAnchor(loss) => tensors.extend(named_tensors(loss, LOSS)),
            MetricLoss::NormalizedSoftmax(loss) => tensors.extend(named_tensors(loss, LOSS)),
            MetricLoss::ArcFace(loss) => tensors.extend(named_tensors(loss, LOSS)),
            _ => {}
        }
        tensors
    }

    fn load(mut self, weights: &StateDict) -> std::result::Result<Self, WeightsError> {
        self.embedding = self.embedding.map(|head| weights.load_into(head, EMBEDDING)).transpose()?;
        self.objective.loss = match self.objective.loss {
            MetricLoss::ProxyAnchor(loss) => MetricLoss::ProxyAnchor(weights.load_into(loss, LOSS)?),
            MetricLoss::NormalizedSoftmax(loss) => MetricLoss::NormalizedSoftmax(weights.load_into(loss, LOSS)?),
            MetricLoss::ArcFace(loss) => MetricLoss::ArcFace(weights.load_into(loss, LOSS)?),
            loss => loss,
        };
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
