//! The set term's functions of the similarity matrices of view sets.

mod centred;
mod frobenius;
mod mean;
mod norms;
mod spectral;
mod uniformity;

use burn::config::Config;
use burn::serde::{Deserialize, Serialize};

pub(crate) use centred::{centred, centred_of_matrices};
pub(crate) use frobenius::{frobenius, frobenius_of_matrices};
pub(crate) use mean::{mean, mean_of_matrices};
pub(crate) use norms::Entries;
#[cfg(feature = "host")]
pub(crate) use spectral::{GRAM, Pairing};
pub(crate) use spectral::{spectral, spectral_of_matrices};
pub(crate) use uniformity::uniformity_of_matrices;

/// Which function of the K similarity matrices S_k `[B, B]` the set term is.
///
/// | | pair of view sets | costs |
/// |---|---|---|
/// | `spectral` | q = ⟨λ(S_1), λ(S_2)⟩ / (B(B−1)) | an eigendecomposition a set |
/// | `frobenius` | q_F = ‖S_1‖_F ‖S_2‖_F / (B(B−1)) | two matrix products a set |
/// | `centred` | ‖J S_1 J‖_F ‖J S_2 J‖_F / (B(B−1)), with J = I − 11ᵀ/B | two matrix products a set, three with a floor |
/// | `mean` | m(S_1) m(S_2) / (B(B−1)), with m(S) = 1ᵀ S 1 / B | a sum of the rows; with a floor two matrix products a set |
/// | `uniformity` | ½ (U(S_1) + U(S_2)), with U(S) = log (Σ_{i≠j} exp(−2 ‖ẑ_i − ẑ_j‖²) / (B(B−1))) | two matrix products a set |
///
/// In recipes and configuration files they are called by these names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "burn::serde", rename_all = "lowercase")]
#[non_exhaustive]
pub enum SetTerm {
    /// The inner product of the spectra, which is the bound of Finke, Burkard and Rendl on the quadratic assignment problem and the
    /// term of the paper.
    #[default]
    Spectral,
    /// The product of the Frobenius norms, the norms of the spectra: tr(S_1 S_2)/(B(B−1)) ≤ q ≤ q_F by the inequality of Cauchy and
    /// Schwarz, and q = q_F if and only if the spectra are proportional.
    ///
    /// ∂q_F/∂S_1 = (‖S_2‖_F/‖S_1‖_F) S_1 / (B(B−1)), and 0 where S_1 = 0. Neither value nor gradient needs a decomposition, and a GPU
    /// computes both without waiting for the host.
    Frobenius,
    /// The same of the centred matrices J S_k J, which do not know the mean similarity: adding a constant to all similarities of a set
    /// changes nothing. Experimental: it is not the paper's, and how well it trains has not been established.
    ///
    /// Without a floor J S J = Ẑ_c Ẑ_cᵀ, with Ẑ_c the unit embeddings less their mean, and its norm is that of their D×D covariance
    /// matrix times B: what centred kernel alignment (CKA) divides by. Of two sets the term is 0 where one has collapsed to a point, and
    /// so is the gradient: that of a norm is taken to be 0 at 0.
    ///
    /// Source of the norms: Kornblith, Norouzi, Lee, Hinton, "Similarity of neural network representations revisited" (ICML 2019).
    Centred,
    /// The mean similarity alone, in the place of the largest eigenvalue: m(S) = 1ᵀ S 1 / B ≤ λ_max(S) is what that would be if its
    /// eigenvector were constant. To find out what the other terms do beyond pushing embeddings apart on average.
    ///
    /// Without a floor m(S_k) = B (1 + ‖μ_k‖²), with μ_k the mean of the unit embeddings of the set.
    Mean,
    /// The uniformity of embeddings on the sphere, the mean over the K sets: not a term of pairs of sets. For the same purpose.
    ///
    /// ‖ẑ_i − ẑ_j‖² = 2 − 2 s_ij, with s floored if a floor is chosen. Where the s are small its gradient is twice as long as that of
    /// [`Mean`](Self::Mean), so that half the weight compares with that term.
    ///
    /// Source: Wang, Isola, "Understanding contrastive representation learning through alignment and uniformity on the hypersphere"
    /// (ICML 2020), with t = 2.
    Uniformity,
}

impl Config for SetTerm {}

impl SetTerm {
    /// All of them.
    pub const ALL: [SetTerm; 5] =
        [SetTerm::Spectral, SetTerm::Frobenius, SetTerm::Centred, SetTerm::Mean, SetTerm::Uniformity];

    /// Its name in recipes and configuration files.
    pub fn name(self) -> &'static str {
        match self {
            SetTerm::Spectral => "spectral",
            SetTerm::Frobenius => "frobenius",
            SetTerm::Centred => "centred",
            SetTerm::Mean => "mean",
            SetTerm::Uniformity => "uniformity",
        }
    }
}

impl std::str::FromStr for SetTerm {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|term| term.name() == name)
            .ok_or_else(|| format!("unknown set term `{name}`; known are {}", known()))
    }
}

impl std::fmt::Display for SetTerm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
