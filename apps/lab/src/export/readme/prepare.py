import numpy as np
from PIL import Image, ImageOps

SIZE = {SIZE}
MEAN, STD = {MEAN}, {STD}


def prepare(path):
    """Returns an image file as normalised values, f32 [3, SIZE, SIZE]."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    longest = {LONGEST} * min(image.size)
    image = middle(image, [min(length, longest) for length in image.size])
    width, height = (SIZE * length // min(image.size) for length in image.size)
    # A single call may resize the height first, which rounds differently.
    image = image.resize((width, image.height), Image.Resampling.BILINEAR)
    image = middle(image.resize((width, height), Image.Resampling.BILINEAR), (SIZE, SIZE))
    return np.float32((np.asarray(image) / 255 - MEAN) / STD).transpose(2, 0, 1)


def middle(image, size):
    left, top = (round((length - part) / 2) for length, part in zip(image.size, size))
    return image.crop((left, top, left + size[0], top + size[1]))
