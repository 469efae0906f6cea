"""Times work, and writes the figures in the form that `qare bench --compare` reads."""

import gc
import json
import os
import statistics
import threading
import time

# Seconds from which a run needs no warm-up: the extra cost of a first run is small beside it.
LONG_RUN = 10.0


class Clock:
    """Times work: one warm-up run, then as many runs as the budget allows, at least `least`."""

    def __init__(self, seconds, least, synchronize, compiles):
        self.seconds, self.least, self.synchronize = seconds, least, synchronize
        # Whether the first run compiles or autotunes kernels, so that its time is not representative.
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
        """Times several pieces of work. Their runs are interleaved, so that a change of the machine's speed affects all alike."""
        if self.compiles:
            for work in works:
                work()
        first = [self.once(work) for work in works]
        if max(first) >= LONG_RUN:
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
    """Processor times on Linux in clock ticks: all time of all cores, their busy time, and this process's with ended children."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            cores = [int(word) for word in file.readline().split()[1:9]]
        with open("/proc/self/stat", encoding="utf-8") as file:
            process = sum(int(word) for word in file.read().rsplit(")", 1)[1].split()[11:15])
    except OSError:
        return None
    return sum(cores), sum(cores) - cores[3] - cores[4], process


class Memory:
    """Samples the memory of this process and its children without files that they map. `peak` is the largest sum, in bytes."""

    def __enter__(self):
        self.peak, self.stop = 0, threading.Event()
        self.thread = threading.Thread(target=self.sample, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def sample(self):
        while not self.stop.wait(0.1):
            self.peak = max(self.peak, sum(own_memory(process) for process in [os.getpid(), *children()]))


def children():
    tasks = f"/proc/{os.getpid()}/task"
    for task in os.listdir(tasks):
        try:
            with open(f"{tasks}/{task}/children", encoding="ascii") as file:
                yield from map(int, file.read().split())
        except OSError:
            pass


def own_memory(process):
    """Bytes of a process that are neither in a file nor shared with its parent: the proportional part of what workers share."""
    try:
        with open(f"/proc/{process}/smaps_rollup", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file if line.startswith("Pss_"))
    except OSError:
        return 0
    return 1024 * sum(int(fields[name].split()[0]) for name in ("Pss_Anon", "Pss_Shmem") if name in fields)


class OtherProcesses:
    """Measures the processor time of other processes. Figures of a busy machine are not reliable."""

    def __init__(self):
        self.start = ticks()

    def report(self, part, figures):
        now = ticks()
        if self.start is None or now is None or now[0] - self.start[0] < 100:
            return
        total, busy, process = (after - before for before, after in zip(self.start, now))
        share = max(0.0, 100 * (busy - process) / total)
        figures.number(f"others.{part}", f"other processes' share of the processor, {part}", "%", share)
        if share > 5:
            print(f"note: other processes took {share:.0f} % of the processor meanwhile; these figures are not reliable")


class Figures:
    """Collects figures. In `seconds`, a run does `amount` units of work, and `of` names the unit."""

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
        print(f"{figure['label']:<60} {formatted(figure)}", flush=True)

    def find(self, key):
        return next((figure for figure in self.figures if figure["key"] == key), None)

    def write(self, path, head, add, least):
        """Writes the figures as JSON. With `add`, keeps the figures of other parts that the file already holds; with `least`, of
        times and memory that it holds, the lesser."""
        figures = self.figures
        if add and os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                known = {figure["key"]: figure for figure in json.load(file)["figures"]}
            if least:
                figures = [lesser(figure, known.get(figure["key"], figure)) for figure in figures]
            keys = {figure["key"] for figure in figures}
            figures = [figure for key, figure in known.items() if key not in keys] + figures
        with open(path + ".part", "w", encoding="utf-8") as file:
            json.dump({**head, "figures": figures}, file, indent=1)
        os.replace(path + ".part", path)


def lesser(figure, earlier):
    """A figure with what is less of the same time or memory measured earlier."""
    if figure["unit"] not in ("s", "bytes"):
        return figure
    least = min(figure, earlier, key=lambda one: one["median"])
    return {**figure, "median": least["median"], "runs": least["runs"], "min": min(figure["min"], earlier["min"])}


def formatted(figure):
    value, unit = figure["median"], figure["unit"]
    if unit == "s":
        scale, name = (1, "s") if value >= 1 else (1e3, "ms") if value >= 1e-3 else (1e6, "µs")
        rate = f"  ({1 / value:,.0f} {figure['per']}/s)" if "per" in figure and value > 0 else ""
        return f"{value * scale:8.2f} {name}{rate}  (min {figure['min'] * scale:.2f}, {figure['runs']} runs)"
    if unit == "bytes":
        return f"{value / 2**20:8.1f} MiB"
    return f"{value:8.2f} {unit}"
