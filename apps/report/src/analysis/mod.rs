//! What a report shows about rows of numbers: neighbours, maps, spectra, the set term's bound, confusion.

mod confusion;
mod map;
mod neighbours;
mod pca;
mod rows;
mod set_bound;
mod spectrum;

pub use confusion::Confusion;
pub use map::{MapMethod, map, perplexity};
pub use neighbours::{Neighbour, nearest, purity};
pub use pca::{principal_components, principal_plane};
pub use rows::Rows;
pub use set_bound::SetBound;
pub use spectrum::Spectrum;
