//! The methods by name, and what each trains with.

use std::fmt;
use std::str::FromStr;

use qare::{ContrastiveObjectiveConfig, NtXentConfig, PairwiseConfig, SparseClrConfig};
use serde::{Deserialize, Serialize};

use crate::recipe::Recipe;

/// A way to train, or not to train, a backbone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Method {
    Simclr,
    SimclrQare,
    Sparseclr,
    SparseclrQare,
    /// The lower bound: an untrained backbone.
    Randomweights,
}

impl Method {
    pub const ALL: [Method; 5] =
        [Method::Simclr, Method::SimclrQare, Method::Sparseclr, Method::SparseclrQare, Method::Randomweights];

    pub fn as_str(self) -> &'static str {
        match self {
            Method::Simclr => "simclr",
            Method::SimclrQare => "simclr_qare",
            Method::Sparseclr => "sparseclr",
            Method::SparseclrQare => "sparseclr_qare",
            Method::Randomweights => "randomweights",
        }
    }

    /// Whether a run of this method has epochs.
    pub fn is_trained(self) -> bool {
        self != Method::Randomweights
    }

    /// What the method minimises; nothing for a backbone that is not trained.
    pub fn objective(self, recipe: &Recipe) -> Option<ContrastiveObjectiveConfig> {
        let mut config = match self {
            Method::Simclr => ContrastiveObjectiveConfig::simclr(),
            Method::SimclrQare => ContrastiveObjectiveConfig::simclr_qare(recipe.alpha, recipe.beta),
            Method::Sparseclr => ContrastiveObjectiveConfig::sparseclr(),
            Method::SparseclrQare => ContrastiveObjectiveConfig::sparseclr_qare(recipe.alpha, recipe.beta),
            Method::Randomweights => return None,
        };
        config.pairwise = match config.pairwise {
            PairwiseConfig::NtXent(config) => {
                PairwiseConfig::NtXent(NtXentConfig { temperature: recipe.temperature, ..config })
            }
            PairwiseConfig::SparseClr(config) => {
                PairwiseConfig::SparseClr(SparseClrConfig { margin: recipe.margin, ..config })
            }
        };
        Some(config)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        // The paper's repository spells it both ways.
        let corrected = name.replace("sparceclr", "sparseclr");
        Method::ALL.into_iter().find(|method| method.as_str() == corrected).ok_or_else(|| {
            let known: Vec<&str> = Method::ALL.into_iter().map(Method::as_str).collect();
            format!("unknown method `{name}`; known methods: {}", known.join(", "))
        })
    }
}

impl TryFrom<String> for Method {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<Method> for String {
    fn from(method: Method) -> String {
        method.to_string()
    }
}
