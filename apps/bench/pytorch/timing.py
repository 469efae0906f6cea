"""Measuring, and the figures that come of it, in the form that `qare bench --compare` reads."""

import gc
import json
import os
import statistics
import time

# A run this long needs no warm-up: what a first run costs more is small beside it.
LONG = 10.0


class Clock:
    """Times a piece of work: one run to warm up, then as many as fit into the budget, at least `least`."""

    def __init__(self, seconds, least, synchronize, compiles):
        self.seconds, self.least, self.synchronize = seconds, least, synchronize
        # Whether a first run compiles or tries out kernels, so that it tells nothing of the next.
        self.compiles = compiles

    def once(self, work):
        self.synchronize()
        start = time.perf_counter()
        work()
        self.synchronize()
        return time.perf_counter() - start

    def measure(self, work):
        return self.measure_in_turn([work])[0]

    def measure_in_turn(self, works):
        """Several pieces of work, their runs taking turns, so that a change of the machine's speed meets all of them."""
        if self.compiles:
            for work in works:
                work()
        first = [self.once(work) for work in works]
        if max(first) >= LONG:
            return [[seconds] for seconds in first]
        runs = [[] for _ in works]
        spent = 0.0
        while len(runs[0]) < self.least or (spent < self.seconds * len(works) and len(runs[0]) < 1000):
            for work, times in zip(works, runs):
                times.append(self.once(work))
                spent += times[-1]
        gc.collect()
        return runs


def ticks():
    """Of the system's clock, on Linux: of all cores, of those working, and of this process with its ended children."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            cores = [int(word) for word in file.readline().split()[1:9]]
        with open("/proc/self/stat", encoding="utf-8") as file:
            own = sum(int(word) for word in file.read().rsplit(")", 1)[1].split()[11:15])
    except OSError:
        return None
    return sum(cores), sum(cores) - cores[3] - cores[4], own


class Others:
    """What other processes take of the processor: figures of a busy machine are worth little."""

    def __init__(self):
        self.start = ticks()

    def tell(self, part, figures):
        now = ticks()
        if self.start is None or now is None or now[0] - self.start[0] < 100:
            return
        passed, working, own = (after - before for before, after in zip(self.start, now))
        share = max(0.0, 100 * (working - own) / passed)
        figures.number(f"others.{part}", f"other processes' share of the processor, {part}", "%", share)
        if share > 5:
            print(f"note: other processes took {share:.0f} % of the processor meanwhile; these figures are worth little")


class Figures:
    """Named results. `amount` of `of` is the work that one run does."""

    def __init__(self):
        self.figures = []

    def seconds(self, key, label, runs, amount=1, of=None):
        runs = [seconds / amount for seconds in runs]
        figure = {"key": key, "label": label, "unit": "s", "min": min(runs), "median": statistics.median(runs), "runs": len(runs)}
        if of:
            figure["per"] = of
        self.add(figure)

    def number(self, key, label, unit, value):
        self.add({"key": key, "label": label, "unit": unit, "min": value, "median": value, "runs": 1})

    def add(self, figure):
        self.figures.append(figure)
        print(f"{figure['label']:<60} {told(figure)}", flush=True)

    def find(self, key):
        return next((figure for figure in self.figures if figure["key"] == key), None)

    def write(self, path, head, add):
        """Writes them as JSON; with `add` beside those of other parts that the file holds already."""
        figures = self.figures
        if add and os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                known = json.load(file)["figures"]
            keys = {figure["key"] for figure in figures}
            figures = [figure for figure in known if figure["key"] not in keys] + figures
        with open(path + ".part", "w", encoding="utf-8") as file:
            json.dump({**head, "figures": figures}, file, indent=1)
        os.replace(path + ".part", path)


def told(figure):
    value, unit = figure["median"], figure["unit"]
    if unit == "s":
        scale, name = (1, "s") if value >= 1 else (1e3, "ms") if value >= 1e-3 else (1e6, "µs")
        rate = f"  ({1 / value:,.0f} {figure['per']}/s)" if "per" in figure and value > 0 else ""
        return f"{value * scale:8.2f} {name}{rate}  (min {figure['min'] * scale:.2f}, {figure['runs']} runs)"
    if unit == "bytes":
        return f"{value / 2**20:8.1f} MiB"
    return f"{value:8.2f} {unit}"
