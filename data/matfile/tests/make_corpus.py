#!/usr/bin/env python3
"""Writes the MAT-files in `corpus/` with SciPy: make_corpus.py. `corpus.rs` says what they hold.

Both files hold the same variables, in `compressed.mat` compressed.
"""
from pathlib import Path

import numpy as np
from scipy.io import savemat
from scipy.sparse import csc_matrix

corpus = Path(__file__).parent / "corpus"
corpus.mkdir(exist_ok=True)

people = np.zeros((1, 2), dtype=[("name", "O"), ("age", "O"), ("friend", "O")])
people[0, 0] = ("Ada", np.uint8(36), {"name": "Mary", "age": 92})
people[0, 1] = ("Émile Łukasiewicz", np.int16(-300), np.zeros((0, 0)))
cells = np.empty((2, 2), dtype=object)
cells[:] = [["one", 2.5], ["", np.arange(3.0)]]
kinds = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
variables = {f"of_{kind}": np.array([[0, 1, 2], [100, 101, 102]], dtype=kind) for kind in kinds}
variables |= {
    "people": people,
    "cells": cells,
    "truth": np.array([[True, False]]),
    "rows": np.array(["ab", "cd"]),
    "none": np.zeros((1, 0), dtype=[("field", "O")]),
    "cube": np.arange(24.0).reshape(2, 3, 4),
    "complex": np.array([[1 + 2j]]),
    "sparse": csc_matrix(np.eye(3)),
}
for name, compressed in (("plain", False), ("compressed", True)):
    path = corpus / f"{name}.mat"
    savemat(path, variables, do_compression=compressed, long_field_names=True)
    contents = path.read_bytes()
    # The text of a header says when and where the file was written.
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + contents[116:])
