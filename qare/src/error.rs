use thiserror::Error;

/// Why an objective cannot be evaluated.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ObjectiveError {
    /// A contrast needs at least two views of an image.
    #[error("{views} view(s) an image: a contrastive objective needs at least 2")]
    TooFewViews {
        /// The number asked for.
        views: usize,
    },
    /// The set term is normalised by B(B − 1), and a pairwise term has no negatives, when there is one image.
    #[error(
        "a batch of {images} image(s): at least 2 are needed, raise the batch size (or drop the last partial batch)"
    )]
    TooFewImages {
        /// B, the images in the batch.
        images: usize,
    },
    /// The rows of the batch are not K times a whole number of images.
    #[error("{rows} rows of embeddings cannot be {views} views each of a whole number of images")]
    RaggedViews {
        /// Rows found.
        rows: usize,
        /// K, the views of an image.
        views: usize,
    },
    /// Two views of the same images do not have one shape.
    #[error("a view of shape {first:?} and one of shape {second:?}: both have to be [B, D], of the same images")]
    UnlikeViews {
        /// The shape of the first.
        first: [usize; 2],
        /// The shape of the second.
        second: [usize; 2],
    },
    /// A number of a configuration is out of its range.
    #[error("{parameter} is {value}: it has to be {expected}")]
    InvalidParameter {
        /// Which number.
        parameter: &'static str,
        /// What it is.
        value: f64,
        /// What it has to be.
        expected: &'static str,
    },
    /// There is not one label for each row.
    #[error("{labels} label(s) for {rows} rows of {quantity}: each row needs one")]
    LabelCount {
        /// Labels found.
        labels: usize,
        /// Rows found.
        rows: usize,
        /// What the rows are.
        quantity: &'static str,
    },
    /// Embeddings and reference embeddings are not of one dimension, or there are none of them.
    #[error(
        "embeddings of shape {embeddings:?} and references of shape {references:?}: both have to be [rows, D], with rows"
    )]
    UnlikeReferences {
        /// The shape of the embeddings.
        embeddings: [usize; 2],
        /// The shape of the references.
        references: [usize; 2],
    },
    /// There are no rows, or they have no dimension.
    #[error("{quantity} of shape {shape:?}: expected [rows, D], with at least one of each")]
    NoRows {
        /// The shape found.
        shape: [usize; 2],
        /// What the rows are.
        quantity: &'static str,
    },
    /// Embeddings and the proxies of a loss are not of one dimension.
    #[error(
        "embeddings of shape {embeddings:?} and proxies of shape {proxies:?}: expected [rows, D] and [identities, D]; give the \
         loss the dimension of the embeddings"
    )]
    UnlikeProxies {
        /// The shape of the embeddings.
        embeddings: [usize; 2],
        /// The shape of the proxies.
        proxies: [usize; 2],
    },
    /// A label has no proxy.
    #[error(
        "the label of row {row} (counted from 0) is {label}: with proxies of {identities} identities, labels are 0 to {}",
        .identities - 1
    )]
    LabelOutOfRange {
        /// The label.
        label: i64,
        /// Its row.
        row: usize,
        /// How many identities have a proxy.
        identities: usize,
    },
    /// No row has another of its label to be drawn to.
    #[error("no row has a positive: of no label are there two rows")]
    NoPositives,
    /// NaN or infinity where a number was expected.
    #[error(
        "{quantity} holds NaN or infinity: the embeddings have diverged (lower the learning rate, or look for bad input)"
    )]
    NonFinite {
        /// Where it was seen.
        quantity: String,
    },
    /// A row is so short that its similarity with itself falls below 1, and NT-Xent's denominator is no longer positive:
    /// exp(1/t), taken off for the row itself, is more than all of the sum.
    #[error(
        "{row} has length {length:e}: its similarity with itself is {own:e} instead of 1, and with {rows} rows at a \
         temperature of {temperature} NT-Xent's denominator Σ exp(s/t) − exp(1/t) is not positive; look for what makes \
         embeddings vanish, or take a larger batch or a higher temperature"
    )]
    NoProbabilities {
        /// Which row of the batch.
        row: String,
        /// Its length.
        length: f64,
        /// Its similarity with itself.
        own: f64,
        /// Rows in the batch.
        rows: usize,
        /// NT-Xent's temperature.
        temperature: f64,
    },
    /// A result is finite and larger than the numbers it is kept in can be.
    #[error(
        "{quantity} leaves the range of {dtype}: training has diverged, or a temperature, margin or weight is out of \
         proportion (make it smaller, or lower the learning rate)"
    )]
    Overflow {
        /// What is too large, and where.
        quantity: String,
        /// The type of the numbers.
        dtype: &'static str,
    },
    /// The matrices given to the set term do not have the shape [K, B, B] with K, B ≥ 2.
    #[error("view-set similarities have shape {shape:?}: expected [K, B, B] with at least 2 sets of at least 2 images")]
    BadSetShape {
        /// The shape found.
        shape: [usize; 3],
    },
    /// The matrices given to [`symmetric_eigen`](crate::symmetric_eigen) are not square.
    #[error("an eigendecomposition of matrices of shape {shape:?}: expected [K, N, N]")]
    NotSquare {
        /// The shape found.
        shape: [usize; 3],
    },
    /// The eigensolver did not converge.
    #[error("the symmetric eigendecomposition of the {size}×{size} {quantity} did not converge")]
    NoConvergence {
        /// Which matrix.
        quantity: String,
        /// Its size.
        size: usize,
    },
}
