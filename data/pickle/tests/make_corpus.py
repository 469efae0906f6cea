#!/usr/bin/env python3
"""Makes the pickles in `corpus/`: make_corpus.py

Needs Python 3.11 or later and NumPy. Each value is pickled with the protocols 0 to 5, by the C pickler and by the Python
one, which memoize differently. `corpus.json` says what the files NAME_PROTOCOL.pickle and NAME_PROTOCOL_python.pickle hold,
in the form that tests/corpus.rs writes.
"""
import _compat_pickle
import collections
import io
import json
import os
import pickle

import numpy

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
os.makedirs(folder, exist_ok=True)


class Point:
    """An instance with attributes."""

    def __init__(self, x, y):
        self.x, self.y = x, y


class Ordered(collections.OrderedDict):
    pass


class Outside:
    """What the pickler does not write but names."""

    def __init__(self, name):
        self.name = name


class Naming(pickle.Pickler):
    def persistent_id(self, value):
        return value.name if isinstance(value, Outside) else None


class NamingInPython(pickle._Pickler):
    def persistent_id(self, value):
        return value.name if isinstance(value, Outside) else None


def text(value):
    """As JSON has it, all in ASCII."""
    return json.dumps(value)


def name_of(function, protocol):
    """Module and name; before protocol 3 those of Python 2."""
    module, name = function.__module__, function.__qualname__
    if protocol < 3:
        module, name = _compat_pickle.REVERSE_NAME_MAPPING.get((module, name), (module, name))
        module = _compat_pickle.REVERSE_IMPORT_MAPPING.get(module, module)
    return f"{module}.{name}"


def shown(value, protocol):
    """A value in the form that tests/corpus.rs writes."""
    each = lambda values: ", ".join(shown(one, protocol) for one in values)
    pairs = lambda items: ", ".join(f"{shown(key, protocol)}: {shown(one, protocol)}" for key, one in items)
    match value:
        case None | True | False:
            return str(value)
        case int():
            return str(value) if -(2**63) <= value < 2**63 else "large"
        case float():
            return "float " + numpy.float64(value).tobytes().hex()
        case str():
            return text(value)
        case bytes() if protocol >= 3:
            return "bytes " + value.hex()
        case bytes() if not value:
            return f"{name_of(bytes, protocol)}()[]{{}}"
        case bytes():
            return f"_codecs.encode({text(value.decode('latin1'))}, {text('latin1')})[]{{}}"
        case bytearray() if protocol >= 5:
            return "bytes " + value.hex()
        case bytearray() if value:
            # The pickler calls `bytearray` with bytes, unlike `__reduce_ex__`.
            return f"{name_of(bytearray, protocol)}({shown(bytes(value), protocol)})[]{{}}"
        case tuple():
            return f"({each(value)})"
        case list():
            return f"[{each(value)}]"
        case set() | frozenset() if protocol >= 4:
            return f"set [{each(sorted(value))}]"
        case dict() if type(value) is dict:
            return f"{{{pairs(value.items())}}}"
        case Outside():
            return f"outside {text(value.name)}"
        case type():
            return name_of(value, protocol)
    function, arguments, *rest = value.__reduce_ex__(protocol)
    state, items, entries = (rest + [None, None, None])[:3]
    # A call of `__newobj__` is an instruction of its own.
    if function.__name__ == "__newobj__":
        function, *arguments = arguments
    called = f"{name_of(function, protocol)}({each(arguments)})[{each(items or ())}]{{{pairs(entries or ())}}}"
    return called if state is None else f"{called} with {shown(state, protocol)}"


VALUES = {
    "numbers": [0, 1, 255, 256, 65535, 65536, -1, -(2**31), 2**31, 2**63 - 1, -(2**63), 2**63, 10**300, 0.5, -0.0, 1e300],
    "truths": (None, True, False),
    "text": ["", "plain", "back\\slash\\\\u0041", "new\nline\r\0\x1a", "é", "€😀", "'quotes\"", "long " * 60],
    "bytes": [b"", b"plain", bytes(range(256)), b"long " * 60],
    "bytearray": bytearray(b"changes"),
    "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), ((((),),),)),
    "lists": [[], [1], [0] * 1001],
    "dicts": [{}, {"a": 1}, dict.fromkeys(range(1001)), {1: {2: {3: None}}}],
    "sets": [{1, 2, 3}, frozenset([4]), set()],
    "shared": (lambda inner: [inner, inner, (inner, inner)])(["again", "again"]),
    "objects": [Point(1, "two"), Point([], {}), Ordered(a=1, b=2), collections.OrderedDict(a=[1]), collections.deque([1, 2])],
    "classes": [Point, collections.OrderedDict, int],
    "numpy": {"data": numpy.arange(12, dtype=numpy.uint8).reshape(2, 6), "labels": [1, 2]},
    "outside": {"weight": (Outside("first"), Outside("second")), "again": Outside("first")},
}
expected = {}
for name, value in VALUES.items():
    for protocol in range(6):
        # Protocol 5 writes arrays as buffers of their own, which is another layout.
        if name == "numpy" and protocol == 5:
            continue
        for pickler in [Naming, NamingInPython]:
            buffer = io.BytesIO()
            pickler(buffer, protocol=protocol).dump(value)
            file = f"{name}_{protocol}{'_python' if pickler is NamingInPython else ''}.pickle"
            with open(os.path.join(folder, file), "wb") as out:
                out.write(buffer.getvalue())
        expected[f"{name}_{protocol}"] = shown(value, protocol)
with open(os.path.join(folder, "corpus.json"), "w") as out:
    json.dump(expected, out, indent=0)
print(len(os.listdir(folder)), "files,", sum(os.path.getsize(os.path.join(folder, file)) for file in os.listdir(folder)), "bytes")
