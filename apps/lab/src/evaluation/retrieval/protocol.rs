//! Which test images are queries, which are searched for them, and at which k a dataset is reported.

use qare_data::{DatasetName, ImageSet, RetrievalRole};

/// How the test images of a dataset are searched. What remains of a query's class is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Each image is a query, and all others are searched.
    AmongOthers,
    /// Each image is a query, and all images are searched but those of its class from its own camera, itself included.
    AcrossCameras,
    /// Re-identification: the queries are searched in the gallery, without the images of their identity from their own camera.
    QueriesAndGallery,
}

impl Protocol {
    /// Returns the protocol of a set of test images: the dataset names cameras and roles if its protocol has them.
    pub fn of(images: &ImageSet) -> Self {
        match (images.roles(), images.cameras()) {
            (Some(_), _) => Self::QueriesAndGallery,
            (None, Some(_)) => Self::AcrossCameras,
            (None, None) => Self::AmongOthers,
        }
    }

    /// Returns the name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AmongOthers => "among_others",
            Self::AcrossCameras => "across_cameras",
            Self::QueriesAndGallery => "queries_and_gallery",
        }
    }

    /// Returns the k at which papers report Recall@k, or CMC@k, of a dataset with this protocol.
    pub fn usual_ks(self, dataset: DatasetName) -> &'static [usize] {
        match (self, dataset) {
            (Self::QueriesAndGallery, _) => &[1, 5, 10],
            (_, DatasetName::Sop) => &[1, 10, 100, 1000],
            _ => &[1, 2, 4, 8],
        }
    }
}

/// Returns the indices of the queries and of the images that are searched: the same for a set without roles.
pub(super) fn divided(images: &ImageSet) -> (Vec<usize>, Vec<usize>) {
    let all = 0..images.len();
    match images.roles() {
        None => (all.clone().collect(), all.collect()),
        Some(roles) => all.partition(|index| roles[*index] == RetrievalRole::Query),
    }
}

/// Returns what is missing for a search across cameras, if no query has an image to be found.
pub(crate) fn missing_across_cameras(images: &ImageSet) -> Option<String> {
    let cameras = images.cameras()?;
    let (queries, gallery) = divided(images);
    if queries.is_empty() || gallery.is_empty() {
        let missing = if queries.is_empty() { "queries" } else { "images of the gallery" };
        return Some(format!("there are no {missing} among the {} test images", images.len()));
    }
    // The first camera of each class in the gallery, and whether there is another.
    let mut of_class: Vec<Option<(u16, bool)>> = vec![None; images.classes()];
    for image in gallery {
        let seen = &mut of_class[usize::from(images.label(image))];
        *seen =
            Some(seen.map_or((cameras[image], false), |(first, several)| (first, several || first != cameras[image])));
    }
    let is_found = |query: &usize| {
        of_class[usize::from(images.label(*query))].is_some_and(|(first, several)| several || first != cameras[*query])
    };
    if queries.iter().any(is_found) {
        None
    } else if cameras.iter().all(|camera| *camera == cameras[0]) {
        Some(format!("all test images are from camera {}", cameras[0]))
    } else {
        Some(format!("none of the {} queries has one", queries.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qare_data::RetrievalRole::{Gallery, Query};

    /// Images of one pixel with labels and cameras.
    fn images(labels: &[u16], cameras: &[u16]) -> ImageSet {
        let names = (0..9).map(|class| class.to_string()).collect();
        let images = ImageSet::new(vec![0; 3 * labels.len()], labels.to_vec(), 1, names).unwrap();
        images.with_cameras(cameras.to_vec()).unwrap()
    }

    #[test]
    fn a_partner_has_another_camera_and_is_in_the_gallery() {
        let missing = |labels: &[u16], cameras: &[u16], roles: Option<&[RetrievalRole]>| {
            let images = images(labels, cameras);
            missing_across_cameras(&match roles {
                Some(roles) => images.with_roles(roles.to_vec()).unwrap(),
                None => images,
            })
        };
        assert_eq!(missing(&[0, 0, 1], &[1, 2, 1], None), None);
        assert_eq!(missing(&[0, 0, 1], &[1, 1, 2], None).unwrap(), "none of the 3 queries has one");
        assert_eq!(missing(&[0, 0, 1], &[4, 4, 4], None).unwrap(), "all test images are from camera 4");
        let of_one = |roles: [RetrievalRole; 3]| missing(&[0, 0, 1], &[1, 2, 1], Some(&roles));
        assert_eq!(of_one([Query, Gallery, Gallery]), None);
        assert_eq!(of_one([Query, Query, Gallery]).unwrap(), "none of the 2 queries has one");
        assert_eq!(of_one([Gallery; 3]).unwrap(), "there are no queries among the 3 test images");
        assert_eq!(of_one([Query; 3]).unwrap(), "there are no images of the gallery among the 3 test images");
        // Two cameras in the gallery, the query's among them.
        assert_eq!(missing(&[0, 0, 0], &[1, 1, 2], Some(&[Query, Gallery, Gallery])), None);
    }
}
