#!/usr/bin/env python3
"""Writes the MAT-files in `cars196/` with SciPy: make_cars_annotations.py

They have the variables and fields of the annotations of Stanford Cars, for seven images. `class_disjoint/cars_annotations.rs` says which.
"""
from pathlib import Path

import numpy as np
from scipy.io import savemat

folder = Path(__file__).parent / "cars196"
folder.mkdir(exist_ok=True)
names = np.array([f"Model {number} 2012" for number in range(1, 197)], dtype=object)[None]
boxes = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"]


def annotations(fields, rows):
    structs = np.zeros((1, len(rows)), dtype=[(field, "O") for field in fields])
    for place, row in enumerate(rows):
        numbers = [np.uint8(number) if isinstance(number, int) else number for number in row]
        structs[0, place] = tuple(numbers)
    return {"annotations": structs}


def write(name, variables, compressed=True):
    path = folder / name
    savemat(path, variables, do_compression=compressed)
    contents = path.read_bytes()
    # The text of a header says when and where the file was written.
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + contents[116:])


# The class of each image. In two parts, both have images of a class of either half.
train, test = [196, 1, 99], [98, 1, 196, 2]
box = [1, 2, 3, 4]


def parts(classes, with_labels=True):
    fields = boxes + ["class"] * with_labels + ["fname"]
    rows = [box + [label] * with_labels + [f"{place:05}.jpg"] for place, label in enumerate(classes, 1)]
    return annotations(fields, rows)


def together(classes):
    rows = [[f"car_ims/{place:06}.jpg", *box, label, 0] for place, label in enumerate(classes, 1)]
    return annotations(["relative_im_path", *boxes, "class", "test"], rows)


write("cars_annos.mat", together(train + test) | {"class_names": names}, compressed=False)
write("cars_meta.mat", {"class_names": names})
write("cars_train_annos.mat", parts(train))
write("cars_test_annos.mat", parts(test, with_labels=False))
write("cars_test_annos_withlabels.mat", parts(test))
# Not as published.
write("class_197.mat", parts([98, 197]))
write("first_half.mat", together([1, 98]) | {"class_names": names})
write("few_names.mat", together(train) | {"class_names": names[:, :12]})
write("no_file_names.mat", annotations(["class", "fname"], [[1, 7], [2, ""]]))
