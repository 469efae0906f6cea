#!/usr/bin/env python3
"""Makes the files in `cifar_pickles/`: make_cifar_pickles.py

Needs Python 3.8 or later and NumPy 2. Each file is a batch of CIFAR-10 with two images, as Python 3 pickles it again, except for
`meta_PROTOCOL`, which are the names of CIFAR-100. `src/datasets/cifar_pickle/tests.rs` says what they hold.
"""
import io
import os
import pickle

import numpy

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cifar_pickles")
os.makedirs(folder, exist_ok=True)

# Bytes of every value, most of them zero: protocol 0 writes a zero as six bytes.
pixels = numpy.zeros((2, 3072), numpy.uint8)
pixels[0, :256] = numpy.arange(256)
pixels[1, -256:] = numpy.arange(256)[::-1]
labels = [3, 7]
names = [b"first_s_000001.png", b"second_s_000002.png"]


def batch(data=pixels, labels=labels):
    return {b"batch_label": b"training batch 1 of 5", b"labels": labels, b"data": data, b"filenames": names}


def text(entries):
    """The same with `str` for `bytes`, as `pickle.load(file, encoding="latin1")` gives it."""
    return {
        key.decode(): [name.decode() for name in value] if key == b"filenames" else value
        for key, value in entries.items()
    }


def write(name, pickled):
    with open(os.path.join(folder, name + ".pickle"), "wb") as file:
        file.write(pickled)


def as_numpy_1(pickled):
    """The module names of NumPy 1, `numpy.core`."""
    name, older = b"numpy._core.", b"numpy.core."
    if pickled[1] >= 4:
        # A name follows its length, and the length of the frame counts both.
        frame = int.from_bytes(pickled[3:11], "little") - pickled.count(name)
        at = pickled.index(name)
        while at >= 0:
            pickled = pickled[: at - 1] + bytes([pickled[at - 1] - 1]) + older + pickled[at + len(name) :]
            at = pickled.find(name)
        pickled = pickled[:3] + frame.to_bytes(8, "little") + pickled[11:]
    pickled = pickled.replace(name, older)
    assert (pickle.loads(pickled)[b"data"] == pixels).all()
    return pickled


def dumps(entries, protocol):
    return pickle.dumps(entries, protocol=protocol)


for protocol in range(6):
    write(f"bytes_{protocol}", dumps(batch(), protocol))
    write(f"text_{protocol}", dumps(text(batch()), protocol))
for protocol in [2, 4, 5]:
    write(f"numpy_1_{protocol}", as_numpy_1(dumps(batch(), protocol)))
    write(f"by_columns_{protocol}", dumps(batch(numpy.asfortranarray(pixels)), protocol))
    write(f"label_array_{protocol}", dumps(batch(labels=numpy.array(labels)), protocol))
    write(f"big_endian_{protocol}", dumps(batch(labels=numpy.array(labels, ">i4")), protocol))
    write(f"label_numbers_{protocol}", dumps(batch(labels=list(numpy.array(labels))), protocol))
    write(f"label_tuple_{protocol}", dumps(batch(labels=tuple(labels)), protocol))
readonly = pixels.copy()
readonly.flags.writeable = False
write("readonly_5", dumps(batch(readonly), 5))
buffer = io.BytesIO()
pickle._Pickler(buffer, protocol=5).dump(batch())
write("python_5", buffer.getvalue())

write("not_outside", pickle.dumps(batch(), protocol=5, buffer_callback=lambda buffer: None))
write("not_readonly_outside", pickle.dumps(batch(readonly), protocol=5, buffer_callback=lambda buffer: None))
write("not_floats", dumps(batch(pixels[:, :768].astype(numpy.float32)), 4))
write("not_pictures", dumps(batch(pixels.reshape(2, 32, 32, 3)), 5))
write("not_a_table", dumps(batch(labels=numpy.array([labels])), 5))
write("not_integers", dumps(batch(labels=numpy.array(labels, numpy.float32)), 2))

for protocol in [0, 2, 4, 5]:
    coarse = [f"kind {index}".encode() for index in range(20)]
    write(f"meta_{protocol}", dumps({b"coarse_label_names": coarse}, protocol))
files = [os.path.join(folder, file) for file in os.listdir(folder)]
print(len(files), "files,", sum(map(os.path.getsize, files)), "bytes")
