//! `qare data show`: a contact sheet of a dataset and of the views that training makes of it.

use qare_data::{
    Augmentation, Draw, ImageSet, Normalization, Purpose, Scratch, describe_view, write_view, write_view_of,
};
use qare_lab::export::{extension, writable};
use qare_lab::images::Source;
use qare_lab::methods::{Method, MethodName};
use qare_lab::recipe::{Recipe, SIZES, absolute};
use qare_lab::runs::files::write_whole;
use qare_lab::{LabError, PrintablePath, Result};
use qare_report::{ContactSheet, Shown};

use crate::cli::{ShowArgs, Split};
use crate::output::print_line;
use crate::progress::show;

/// Least height and width of a shown image, and of a view with its parameters.
const IMAGE: usize = 64;
const VIEW: usize = 128;

/// Draws images of each class and views of some, and writes the sheet.
pub fn show_command(args: ShowArgs) -> Result<()> {
    if extension(&args.out) != "png" {
        return Err(LabError::Usage(format!("--out {}: expected a name that ends in .png", args.out.printable())));
    }
    writable("--out", &args.out)?;
    if let Some(size) = args.image_size.filter(|size| !SIZES.contains(size)) {
        let (least, most) = SIZES.into_inner();
        return Err(LabError::Usage(format!("--image-size {size}: it has to be from {least} to {most}")));
    }
    let method = args.method.unwrap_or(Method::SparseclrQare);
    let recipe = Recipe {
        dataset: args.dataset,
        method: MethodName::from(method),
        data_dir: absolute(args.machine.data_dir.clone())?,
        image_size: args.image_size,
        source_size: args.source_size,
        skip_broken: args.machine.skip_broken,
        max_pixels: args.machine.max_pixels,
        ..Recipe::default()
    }
    .with_source_size(None);
    recipe.validate()?;
    let splits = Source::for_training(&recipe).load(&show)?;
    let images = match args.split {
        Split::Train => Some(&splits.train),
        Split::Test => Some(&splits.test),
        Split::Unlabeled => splits.unlabeled.as_ref(),
    };
    let split = format!("{:?}", args.split).to_lowercase();
    let Some(images) = images.filter(|images| !images.is_empty()) else {
        return Err(LabError::Usage(format!("--split {split}: {} has no images there", args.dataset)));
    };
    let mut sheet = ContactSheet::new(images.side(), IMAGE);
    let size = format!("{0}x{0}", images.side());
    sheet.heading(&format!("{} {split}: {} images of {size}", args.dataset, images.len()));
    by_class(&mut sheet, images, &args);
    let views = method.plan(&recipe).map_or(Augmentation::None, |plan| plan.augmentation);
    let mut below = ContactSheet::new(images.side(), VIEW);
    if args.images > 0 {
        add_views(&mut below, images, views, method, &args);
    }
    let bytes = sheet.below(below).png().map_err(|error| LabError::Failed(error.to_string()))?;
    write_whole(&args.out, &bytes)?;
    print_line(splits.describe());
    print_line(format!("contact sheet saved as {}", args.out.printable()));
    Ok(())
}

/// A row of random images for each class, headed by its name and size.
fn by_class(sheet: &mut ContactSheet, images: &ImageSet, args: &ShowArgs) {
    let draw = |class: u64| Draw::new(args.seed, Purpose::Part, 0, 0, class);
    let members = images.of_each_class();
    let classes = members.len();
    for (class, mut members) in members.into_iter().enumerate().take(args.classes as usize) {
        let count = members.len();
        draw(class as u64).shuffle(&mut members);
        members.truncate(args.per_class as usize);
        let name = if images.is_labeled() { images.class_names()[class].as_str() } else { "without labels" };
        sheet.heading(&format!("{name}: {count}"));
        let shown = |index: &usize| Shown { pixels: images.pixels(*index).into_owned(), words: Vec::new() };
        sheet.row(&members.iter().map(shown).collect::<Vec<_>>());
    }
    if classes > args.classes as usize {
        sheet.heading(&format!("{} more classes", classes - args.classes as usize));
    }
}

/// A row for each of some random images: the image, and views of it with their parameters.
fn add_views(sheet: &mut ContactSheet, images: &ImageSet, kind: Augmentation, method: Method, args: &ShowArgs) {
    sheet.heading(&format!("views of {method}, epoch 1 of seed {}", args.seed));
    if kind == Augmentation::Contrastive {
        sheet.heading("crop WIDTHxHEIGHT+LEFT+TOP, b brightness, c contrast, s saturation, h hue, in their order");
    }
    if images.has_sources() && kind.draws_crops() {
        sheet.heading(
            "crops are of the whole photograph; the first image of a row is the square that features are computed of",
        );
    }
    let side = images.side();
    // Pixels from 0 to 1, as they are seen.
    let plain = Normalization { mean: [0.0; 3], std: [1.0; 3] };
    let mut chosen = Draw::new(args.seed, Purpose::Part, 0, 0, u64::MAX).permutation(images.len());
    chosen.truncate(args.images as usize);
    let mut scratch = Scratch::default();
    for index in chosen {
        let image = images.pixels(index);
        let mut shown = vec![Shown { pixels: image.to_vec(), words: vec![format!("image {index}")] }];
        if images.is_labeled() {
            shown[0].words.push(images.class_names()[usize::from(images.label(index))].clone());
        }
        for view in 0..args.views {
            let draw = || Draw::new(args.seed, Purpose::View, FIRST_EPOCH, index as u64, u64::from(view));
            let mut values = vec![0.0; image.len()];
            let source = images.source(index).filter(|_| kind.draws_crops());
            match source {
                Some(source) => write_view_of(kind, source, side, &mut draw(), &plain, &mut scratch, &mut values),
                None => write_view(kind, &image, side, &mut draw(), &plain, &mut scratch, &mut values),
            }
            shown.push(Shown {
                pixels: values.iter().map(|value| (255.0 * value).round().clamp(0.0, 255.0) as u8).collect(),
                words: describe_view(kind, source.map_or((side, side), |source| source.size()), &mut draw()),
            });
        }
        sheet.row(&shown);
    }
}

/// The number of the first epoch in the draws of views.
const FIRST_EPOCH: u64 = 1;
