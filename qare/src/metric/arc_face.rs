use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::tensor::{Int, Tensor, backend::Backend};

use super::normalized_softmax::CrossEntropy;
use super::proxies::{ProxyPairs, drawn};
use crate::ObjectiveError;
use crate::gradient::with_gradient;

/// Least sine that a derivative is divided by.
const SINE_FLOOR: f64 = 1e-4;

/// Configuration of [`ArcFace`].
#[derive(Config, Debug)]
pub struct ArcFaceConfig {
    /// C, the number of identities.
    pub identities: usize,
    /// D, the dimension of the embeddings.
    pub dim: usize,
    /// Margin m in degrees, from 0 to less than 180. The default is 0.499 in radians.
    #[config(default = 28.6)]
    pub margin_degrees: f64,
    /// Scale of the logits, above 0.
    #[config(default = 64.0)]
    pub scale: f64,
}

impl ArcFaceConfig {
    /// The loss, with proxies drawn from the standard normal distribution.
    ///
    /// # Errors
    /// When there is no identity or no dimension, the margin is not from 0 to less than 180 degrees, or the scale is not a positive number.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<ArcFace<B>, ObjectiveError> {
        if !(0.0..180.0).contains(&self.margin_degrees) {
            let (parameter, value) = ("ArcFace's margin in degrees", self.margin_degrees);
            return Err(ObjectiveError::InvalidParameter { parameter, value, expected: "from 0 to less than 180" });
        }
        if !(self.scale > 0.0 && self.scale.is_finite()) {
            let (parameter, value) = ("ArcFace's scale", self.scale);
            return Err(ObjectiveError::InvalidParameter { parameter, value, expected: "positive and finite" });
        }
        let proxies = drawn(self.identities, self.dim, 1.0, device)?;
        Ok(ArcFace { proxies, margin: self.margin_degrees.to_radians(), scale: self.scale })
    }
}

/// ArcFace: cross entropy of the cosine similarities with a learned proxy of each identity, where the angle to a row's own is larger by a margin.
///
/// With s = cos θ the cosine similarities of rows and proxies, γ the scale, and y_i the label of row i,
///
/// ```text
/// L    = −mean over i of log( exp(γ f(θ_{i,y_i})) / (exp(γ f(θ_{i,y_i})) + Σ_{c≠y_i} exp(γ s_ic)) )
/// f(θ) = cos(θ + m)        where θ ≤ π − m
///      = cos θ − m sin m   elsewhere
/// ```
///
/// The derivative of f by s, which is sin(θ + m) / sin θ, is taken with a sine of 1e-4 at least: where a row is its own proxy, or the
/// opposite, the gradient of that term is 0. Otherwise equals pytorch-metric-learning's `ArcFaceLoss`, whose gradient is NaN there, and whose `W`
/// `[D, C]` is the transpose of the proxies.
///
/// Source: Deng, Guo, Xue, Zafeiriou, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition" (CVPR 2019), eq. 3; beyond π − m, the
/// authors' code.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct ArcFace<B: Backend> {
    /// A direction for each identity `[C, D]`; its length has no effect.
    pub proxies: Param<Tensor<B, 2>>,
    margin: f64,
    scale: f64,
}

impl<B: Backend> ModuleDisplay for ArcFace<B> {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let [identities, dim] = self.proxies.dims();
        let content = content.add("identities", &identities).add("dim", &dim);
        content.add("margin_radians", &self.margin).add("scale", &self.scale).optional()
    }
}

/// The angles of rows to their own proxies `[N, 1]`, off the graph.
struct Angles<B: Backend> {
    cosines: Tensor<B, 2>,
    sines: Tensor<B, 2>,
}

impl<B: Backend> Angles<B> {
    /// With a = ‖u − v‖/2 and b = ‖u + v‖/2 for u and v of length one, sin θ = 2ab and cos θ = b² − a²: both have all their digits at any angle,
    /// while √(1 − cos² θ) has lost half of them at a small one.
    fn of(pairs: &ProxyPairs<B>, similarity: &Tensor<B, 2>) -> Self {
        let (rows, proxies) = (pairs.rows.clone().detach(), pairs.proxies.clone().detach());
        // A label out of range reads some proxy, and the loss is NaN in any case.
        let last = proxies.dims()[0] as i64 - 1;
        let own = proxies.select(0, pairs.labels.clone().clamp(0, last));
        let half = |of: Tensor<B, 2>| (of.clone() * of).sum_dim(1) * 0.25; // [N, 1]
        let (apart, together) = (half(rows.clone() - own.clone()), half(rows + own));
        let cosines = pairs.of_own(similarity.clone()).clamp(-1.0, 1.0);
        // Rows below the floor under lengths are shorter than one.
        let short = (apart.clone() + together.clone()).lower_elem(0.99);
        let of_short = (cosines.clone().neg() * cosines.clone() + 1.0).sqrt();
        let sines = ((apart.clone() * together.clone()).sqrt() * 2.0).mask_where(short.clone(), of_short);
        Self { cosines: (together - apart).mask_where(short, cosines), sines }
    }
}

impl<B: Backend> ArcFace<B> {
    /// The loss `[1]` of embeddings `[N, D]` with labels `[N]` from 0 to C − 1, in f32 also for embeddings of f16 and bf16.
    ///
    /// # Errors
    /// As [`ProxyAnchor::forward`](super::ProxyAnchor::forward).
    pub fn forward(&self, embeddings: Tensor<B, 2>, labels: Tensor<B, 1, Int>) -> Result<Tensor<B, 1>, ObjectiveError> {
        let pairs = ProxyPairs::new(embeddings, labels, &self.proxies)?;
        let similarity = pairs.similarities();
        let s = similarity.clone().detach();
        let Angles { cosines, sines } = Angles::of(&pairs, &s);
        let (sin, cos) = self.margin.sin_cos();
        let turned = cosines.clone() * cos - sines.clone() * sin; // cos(θ + m)
        let slope = sines.clamp_min(SINE_FLOOR).recip() * cosines.clone() * sin + cos; // sin(θ + m) / sin θ
        let beyond = cosines.clone().lower_elem(-cos);
        let own = turned.mask_where(beyond.clone(), cosines - self.margin * sin);
        let slope = slope.mask_fill(beyond, 1.0);
        let CrossEntropy { losses, others } = CrossEntropy::of(&pairs, (s - own) * self.scale);
        let rows = losses.dims()[0] as f64;
        let of_own = (others.clone().sum_dim(1).neg() * slope).expand(others.dims());
        let gradient = others.mask_where(pairs.own.clone(), of_own) * (self.scale / rows);
        pairs.guard.checked(with_gradient(losses.mean(), similarity, gradient), "ArcFace's loss")
    }
}
