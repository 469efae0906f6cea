//! Queries and gallery of a retrieval test.

/// The part that an image plays in a retrieval test whose protocol divides the test images, as in person re-identification.
///
/// In a set without roles, every image is a query, and all others are its gallery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetrievalRole {
    /// The gallery is ranked by similarity to this image. It is in no gallery itself.
    Query,
    /// The image is in the gallery of every query.
    Gallery,
}
