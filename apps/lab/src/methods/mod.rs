//! The methods: one file each, and one line each in the list below. docs/new-method.md describes how to add a method.

// A program holds one `Networks` value, so the size of the largest variant does not matter.
#![allow(clippy::large_enum_variant)]

mod contrastive;
mod deepcluster;
mod deepinfomax;
mod floor;
pub mod metric;
mod name;
mod pretext;
mod relationnet;
mod rotationnet;
mod standard;

use std::fmt;
use std::str::FromStr;

use burn::module::{Module, ParamId};
use burn::tensor::backend::Backend;
use burn::tensor::{Device, Tensor};
use qare_data::ViewBatch;
use qare_models::{Backbone, NamedTensor, StateDict, WeightsError};
use serde::{Deserialize, Serialize};

pub use floor::Floor;
pub use metric::MetricMethod;
pub use name::MethodName;
pub use pretext::{
    Embeddings, EpochStart, Facts, Figure, LastBatch, Plan, Pretext, Scope, StepLoss, Trainable, Validating, accuracy,
};
pub use relationnet::Aggregation;
pub(crate) use standard::Standard;

use crate::error::{LabError, Result};
use crate::nearest_name::advice;
use crate::recipe::Recipe;
use crate::recipe::shortened;

/// Defines the enums [`Method`] and [`Networks`] from the list of methods.
macro_rules! methods {
    ($($variant:ident $name:literal $file:ident::$networks:ident $about:literal;)*) => {
        /// A built-in method.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum Method {
            $(#[doc = $about] $variant,)*
            /// Metric learning, with one of several losses.
            Metric(MetricMethod),
            /// The lower bound: an untrained backbone.
            Randomweights,
        }

        impl Method {
            /// All built-in methods.
            pub const ALL: &[Method] = &Self::all();
            const SINGLE: &[Method] = &[$(Method::$variant),*];

            /// Returns the name in recipes and flags.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Method::$variant => $name,)*
                    Method::Metric(method) => method.as_str(),
                    Method::Randomweights => "randomweights",
                }
            }

            /// Returns a short description.
            pub fn about(self) -> &'static str {
                match self {
                    $(Method::$variant => $about,)*
                    Method::Metric(method) => method.about(),
                    Method::Randomweights => "lower bound: an untrained backbone",
                }
            }

            /// Sets the defaults in which the method differs from the common protocol.
            pub fn set_defaults(self, recipe: &mut Recipe) {
                match self {
                    $(Method::$variant => $file::set_defaults(recipe),)*
                    Method::Metric(method) => method.set_defaults(recipe),
                    Method::Randomweights => {}
                }
            }

            /// Returns the training plan, or `None` for `randomweights`, which trains nothing.
            pub fn plan(self, recipe: &Recipe) -> Option<Plan> {
                match self {
                    $(Method::$variant => Some($file::plan(recipe)),)*
                    Method::Metric(method) => Some(method.plan(recipe)),
                    Method::Randomweights => None,
                }
            }
        }

        /// The networks of the built-in method that a recipe names.
        #[derive(Module, Debug)]
        pub enum Networks<B: Backend> {
            $(#[doc = $about] $variant($file::$networks<B>),)*
            /// Metric learning.
            Metric(metric::MetricLearning<B>),
        }

        impl<B: Backend> Pretext<B> for Networks<B> {
            /// Returns the training plan of the recipe's method.
            ///
            /// # Panics
            /// If the recipe's method is not built in, or trains nothing.
            fn plan(recipe: &Recipe) -> Plan {
                recipe.method.plan(recipe).expect("the recipe names a method that trains")
            }

            fn new(recipe: &Recipe, facts: &Facts, device: &Device<B>) -> Result<Self> {
                match recipe.method.built_in()? {
                    $(Method::$variant => Ok(Self::$variant(Pretext::<B>::new(recipe, facts, device)?)),)*
                    Method::Metric(_) => Ok(Self::Metric(Pretext::<B>::new(recipe, facts, device)?)),
                    Method::Randomweights => Err(LabError::Usage("randomweights trains nothing".into())),
                }
            }

            fn begin_epoch(self, start: &mut EpochStart<'_, B>) -> Result<Self> {
                Ok(match self {
                    $(Self::$variant(networks) => Self::$variant(networks.begin_epoch(start)?),)*
                    Self::Metric(networks) => Self::Metric(networks.begin_epoch(start)?),
                })
            }

            fn rates(&self) -> Vec<(ParamId, f64)> {
                match self {
                    $(Self::$variant(networks) => Pretext::<B>::rates(networks),)*
                    Self::Metric(networks) => networks.rates(),
                }
            }

            fn embed(&self, features: Tensor<B, 2>) -> Tensor<B, 2> {
                match self {
                    $(Self::$variant(networks) => networks.embed(features),)*
                    Self::Metric(networks) => networks.embed(features),
                }
            }

            fn forward(&self, backbone: &Backbone<B>, batch: ViewBatch<B>) -> Result<StepLoss<B>> {
                match self {
                    $(Self::$variant(networks) => networks.forward(backbone, batch),)*
                    Self::Metric(networks) => networks.forward(backbone, batch),
                }
            }

            fn weights(&self) -> Vec<NamedTensor> {
                match self {
                    $(Self::$variant(networks) => networks.weights(),)*
                    Self::Metric(networks) => networks.weights(),
                }
            }

            fn load(self, weights: &StateDict) -> std::result::Result<Self, WeightsError> {
                Ok(match self {
                    $(Self::$variant(networks) => Self::$variant(networks.load(weights)?),)*
                    Self::Metric(networks) => Self::Metric(networks.load(weights)?),
                })
            }
        }
    };
}

methods! {
    Simclr        "simclr"         contrastive::Contrastive  "NT-Xent on pairs of views (Chen et al. 2020)";
    SimclrQare    "simclr_qare"    contrastive::Contrastive  "NT-Xent and the set term QARe (Moskalev et al. 2022)";
    Sparseclr     "sparseclr"      contrastive::Contrastive  "sparsemax contrast of pairs (Moskalev et al. 2022)";
    SparseclrQare "sparseclr_qare" contrastive::Contrastive  "SparseCLR and the set term QARe (Moskalev et al. 2022)";
    Rotationnet   "rotationnet"    rotationnet::RotationNet  "which of four rotations (Gidaris et al. 2018)";
    Deepinfomax   "deepinfomax"    deepinfomax::DeepInfoMax  "mutual information of maps and features (Hjelm et al. 2018)";
    Deepcluster   "deepcluster"    deepcluster::DeepCluster  "k-means clusters as labels (Caron et al. 2018)";
    Relationnet   "relationnet"    relationnet::RelationNet  "whether two views are of one image (Patacchiola & Storkey 2020)";
    Standard      "standard"       standard::Standard        "upper bound: supervised, with the labels";
}

impl Method {
    /// Lists the single methods, those of metric learning, and `randomweights`.
    const fn all() -> [Method; Method::SINGLE.len() + MetricMethod::ALL.len() + 1] {
        let mut all = [Method::Randomweights; Method::SINGLE.len() + MetricMethod::ALL.len() + 1];
        let mut at = 0;
        while at < Method::SINGLE.len() {
            all[at] = Method::SINGLE[at];
            at += 1;
        }
        while at < Method::SINGLE.len() + MetricMethod::ALL.len() {
            all[at] = Method::Metric(MetricMethod::ALL[at - Method::SINGLE.len()]);
            at += 1;
        }
        all
    }

    /// Whether the method is one of metric learning, which retrieval evaluates.
    pub fn is_metric(self) -> bool {
        matches!(self, Method::Metric(_))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        // The paper's repository uses both spellings.
        let corrected = name.replace("sparceclr", "sparseclr");
        Method::ALL.iter().copied().find(|method| method.as_str() == corrected).ok_or_else(|| {
            let known: Vec<&str> = Method::ALL.iter().map(|method| method.as_str()).collect();
            format!("unknown method `{}`{}", shortened(name), advice(name, &known))
        })
    }
}

impl TryFrom<String> for Method {
    type Error = String;

    fn try_from(name: String) -> std::result::Result<Self, String> {
        name.parse()
    }
}

impl From<Method> for String {
    fn from(method: Method) -> String {
        method.to_string()
    }
}
