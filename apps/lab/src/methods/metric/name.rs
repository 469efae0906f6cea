//! The names of the methods of metric learning.

/// Defines [`MetricLossName`] and the names of the methods from the list of losses.
macro_rules! losses {
    ($($variant:ident $name:literal $about:literal;)*) => {
        /// A loss with labels.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum MetricLossName {
            $(#[doc = $about] $variant,)*
        }

        impl MetricMethod {
            /// Every loss, alone and with the set term.
            pub const ALL: &[Self] = &[$(
                Self { loss: MetricLossName::$variant, set_term: false },
                Self { loss: MetricLossName::$variant, set_term: true },
            )*];

            /// Returns the name in recipes and flags: the name of the loss, and `_qare` with the set term.
            pub fn as_str(self) -> &'static str {
                match (self.loss, self.set_term) {
                    $((MetricLossName::$variant, false) => $name,
                    (MetricLossName::$variant, true) => concat!($name, "_qare"),)*
                }
            }

            /// Returns a short description.
            pub fn about(self) -> &'static str {
                match (self.loss, self.set_term) {
                    $((MetricLossName::$variant, false) => concat!("labels: ", $about),
                    (MetricLossName::$variant, true) => concat!("labels: that of ", $name, " and the set term QARe"),)*
                }
            }
        }
    };
}

/// A method of metric learning: a loss on labelled images, alone or with the set term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricMethod {
    /// The loss.
    pub loss: MetricLossName,
    /// Whether the set term is added to it.
    pub set_term: bool,
}

losses! {
    Triplet         "triplet"          "triplet margin (Schroff et al. 2015)";
    Contrastive     "contrastive"      "margins of distances (Hadsell et al. 2006)";
    InfoNce         "infonce"          "a positive among all negatives (van den Oord et al. 2018)";
    SupCon          "supcon"           "supervised contrast (Khosla et al. 2020)";
    NtLogistic      "ntlogistic"       "logistic loss of each pair (Chen et al. 2020)";
    MultiSimilarity "multisimilarity"  "weighed pairs (Wang et al. 2019)";
    SparseClr       "sparseclr_labels" "sparsemax contrast (Moskalev et al. 2022)";
    ProxyAnchor     "proxyanchor"      "a learned proxy of each class (Kim et al. 2020)";
    NormSoftmax     "normsoftmax"      "cross entropy of cosines with proxies (Zhai & Wu 2019)";
    ArcFace         "arcface"          "the same with a margin of the angle (Deng et al. 2019)";
}
