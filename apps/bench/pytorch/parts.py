"""The parts of the benchmark. They do the same work as `qare bench`, under the same keys."""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import torch
from torch import nn

import images
import networks
import objectives
import pretexts
import timing


class Bench:
    def __init__(self, options, clock, figures):
        self.options, self.clock, self.figures = options, clock, figures
        self.device = torch.device(options.device)
        torch.manual_seed(1)

    def compiled(self, function):
        if not self.options.compile:
            return function
        # Every size is compiled separately, which gives the compiler's best result.
        torch._dynamo.reset()
        return torch.compile(function, dynamic=False)

    def pixels(self, count):
        return images.random_pixels(count, 32)

    # views

    def views(self):
        for side in (32, 64, 96):
            pixels, _ = images.random_pixels(64, side)
            pictures = [images.Image.fromarray(picture) for picture in pixels]
            transform = images.contrastive(side)
            if self.options.transforms == "v2":
                pictures = [torch.from_numpy(picture).permute(2, 0, 1) for picture in pixels]
                transform = images.contrastive_v2(side)

            def work():
                for picture in pictures:
                    transform(picture)

            runs = self.clock.measure(work)
            self.figures.seconds(f"views.{side}.one_thread", f"view {side}×{side}, one thread", runs, len(pictures), "views")

    # photographs

    def photographs(self):
        count, batch = self.options.photographs_count, 64
        folder = os.path.join(self.options.photographs or "", str(count))
        files = [os.path.join(folder, f"{number:05}.jpg") for number in range(count)]
        if not self.options.photographs or not os.path.exists(files[-1]):
            print("photographs: skipped, needs --photographs DIR with the files that `qare bench photographs --photographs DIR` makes")
            return
        for side in self.options.sizes or (96, 224):
            for workers in (1, 2):
                self.photographs_row(files, side, workers, min(batch, count))

    def photographs_row(self, files, side, workers, batch):
        key, name = f"photographs.{side}px.w{workers}", f"photographs at {side} pixels, {workers} worker{'s' * (workers > 1)}"
        tensors = self.options.transforms == "v2"
        with timing.Memory() as memory:
            for what, views, of in (("decode", 0, "images"), ("views", 2, "views")):
                data = images.Photographs(files, side, views, tensors)
                loader = images.loader(data, batch, workers, views > 0, False)
                amount = (len(files) // batch * batch * views) if views else len(files)

                def work():
                    for _ in loader:
                        pass

                # A run includes the start of the workers, as an epoch does.
                runs = self.clock.measure(work)
                label = "contrastive views" if views else "decoding"
                self.figures.seconds(f"{key}.{what}", f"{name}: {label}", runs, amount, of)
        self.figures.number(f"{key}.memory", f"{name}: peak memory without mapped files", "bytes", memory.peak)

    # loader

    def loader(self):
        for batch in self.options.batches:
            count = batch * (8 if self.options.quick else 40)
            pixels, labels = self.pixels(count)
            data = images.Views(pixels, labels, images.contrastive(32), 2)
            loader = images.loader(data, batch, self.options.num_workers, True, self.device.type == "cuda")

            def work():
                for views, _ in loader:
                    views.to(self.device)

            # A run includes the start of the workers, as an epoch does.
            runs = self.clock.measure(work)
            key = f"loader.B{batch}.K2"
            self.figures.seconds(key, f"loader, batch of {batch} × 2 views", runs, count // batch, "batches")

    # objectives

    def objectives(self):
        terms = {method: objectives.objective(method) for method in objectives.METHODS}
        for method in ("sparseclr_qare_frobenius", "sparseclr_qare_centred"):
            terms[method] = objectives.objective(method)
        terms["qare"] = objectives.set_term
        terms["qare_no_floor"] = objectives.set_term_without_floor
        terms["qare_frobenius"] = objectives.frobenius_term
        terms["qare_frobenius_no_floor"] = objectives.frobenius_term_without_floor
        terms["qare_centred"] = objectives.centred_term
        terms["qare_centred_no_floor"] = objectives.centred_term_without_floor
        for name, term in terms.items():
            by_images, by_views = {}, {}
            for batch in (64 * 2**n for n in range(11)):
                if batch <= self.options.max_batch:
                    by_images[batch] = self.objective(name, term, batch, 2)
            for views in (2**n for n in range(1, 6)):
                if views <= self.options.max_views:
                    by_views[views] = by_images.get(64) if views == 2 else self.objective(name, term, 64, views)
            self.exponent(name, "B", {batch: s for batch, s in by_images.items() if batch >= 256})
            self.exponent(name, "K", {views: s for views, s in by_views.items() if s and views >= 4})

    def objective(self, name, term, batch, views):
        embeddings = torch.randn(batch * views, 64, device=self.device, requires_grad=True)
        term = self.compiled(term)

        def work():
            embeddings.grad = None
            term(embeddings, views).backward()

        runs = self.clock.measure(work)
        key = f"objectives.{name}.B{batch}.K{views}"
        self.figures.seconds(key, f"{name} loss and gradient, B = {batch}, K = {views}", runs)
        return self.figures.find(key)["median"]

    def exponent(self, name, of, seconds):
        if len(seconds) < 2:
            return
        x = torch.tensor([float(size) for size in seconds]).log()
        y = torch.tensor([float(value) for value in seconds.values()]).log()
        x, y = x - x.mean(), y - y.mean()
        slope = ((x * y).sum() / (x * x).sum()).item()
        self.figures.number(f"objectives.{name}.exponent_{of}", f"{name} cost grows as {of} to the power", "", slope)

    # step

    def stepper(self, backbone, batch, method):
        encoder = networks.Encoder(backbone).to(self.device)
        if self.options.channels_last:
            encoder = encoder.to(memory_format=torch.channels_last)
        loss_of = objectives.objective(method)
        optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-3)
        loss_of_views = self.compiled(lambda views: loss_of(encoder(views), 2))

        def step(views):
            optimizer.zero_grad()
            loss = loss_of_views(views)
            loss.backward()
            optimizer.step()
            return loss.item()  # the reference logs the loss after every step

        return encoder, step

    def step(self):
        for backbone in self.options.backbones:
            for batch in self.options.batches:
                self.step_of(backbone, batch)

    def step_of(self, backbone, batch):
        views = torch.randn(2 * batch, 3, 32, 32, device=self.device)
        if self.options.channels_last:
            views = views.contiguous(memory_format=torch.channels_last)
        methods = ["simclr", "sparseclr", "sparseclr_qare", "sparseclr_qare_frobenius"]
        steps = [self.stepper(backbone, batch, method)[1] for method in methods]
        runs = self.clock.measure_in_turn([lambda step=step: step(views) for step in steps])
        for method, times in zip(methods, runs):
            key = f"step.{backbone}.B{batch}.{method}"
            self.figures.seconds(key, f"step of {method}, {backbone}, B = {batch}", times, 1, "steps")
        for name, term, times in [("qare", "QARe", runs[2]), ("frobenius", "QARe by Frobenius norms", runs[3])]:
            # Runs that follow each other, so that the machine's drift cancels.
            share = 100 * statistics.median((whole - without) / whole for without, whole in zip(runs[1], times))
            key, label = f"step.{backbone}.B{batch}.{name}_share", f"share of {term}, {backbone}, B = {batch}"
            self.figures.number(key, label, "%", share)

    # backbones and methods, each row in a process of its own

    def backbones(self):
        """The sizes of `qare bench backbones`."""
        sizes = {32: 64, 64: 32, 96: 16, 224: 8}
        quick = [("conv4", 32), ("resnet8", 32), ("resnet18", 32), ("resnet18", 96)]
        everywhere, small = ["conv4", *networks.IMAGENET], ["resnet32"]
        chosen = self.options.chosen_backbones
        for name in chosen or networks.BACKBONES:
            for side in self.options.sizes or sizes:
                known = (name, side) in quick if self.options.quick else name in everywhere or side <= 64 and name in small or side == 32
                if not (chosen and self.options.sizes or known):
                    continue
                least = max((size for size in sizes if size <= side), default=32)
                for images in self.options.chosen_batches or [sizes[least]]:
                    self.row("backbones", f"{name}.{side}px.B{images}", f"{name}, {side}×{side}", "simclr", name, images, side, True)

    def methods(self):
        quick = ["sparseclr_qare", "rotationnet", "relationnet"]
        side = (self.options.sizes or [32])[0]
        for name in self.options.chosen_backbones or ["conv4"]:
            for images in self.options.chosen_batches or [128]:
                for method in self.options.methods or (quick if self.options.quick else pretexts.METHODS):
                    label = f"{method}, {name}, B = {images}"
                    self.row("methods", f"{name}.B{images}.{method}", label, method, name, images, side, False)

    def row(self, part, key, label, method, backbone, images, side, embedding):
        if not self.options.row:
            return self.row_apart(part, key, label, method, backbone, images, side)
        module = pretexts.pretext(method, backbone, images).to(self.device)
        views, labels = pretexts.batch(method, module, images, side, self.device)
        if self.options.channels_last:
            module = module.to(memory_format=torch.channels_last)
            views = views.contiguous(memory_format=torch.channels_last_3d)
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
        loss_of = self.compiled(module)

        def step():
            optimizer.zero_grad()
            loss = loss_of(views, labels)
            loss.backward()
            optimizer.step()
            return loss.item()

        count = images * module.views
        runs = self.clock.measure(step)
        self.figures.seconds(f"{part}.{key}.step", f"{label}: step on {count} views", runs, 1, "steps")
        if embedding:
            encoder = module.encoder.backbone.eval()
            features, flat = self.compiled(encoder), views.flatten(0, 1)
            if self.options.channels_last:
                flat = flat.contiguous(memory_format=torch.channels_last)

            def embed():
                with torch.inference_mode():
                    features(flat)

            runs = self.clock.measure(embed)
            self.figures.seconds(f"{part}.{key}.features", f"{label}: features of {count} images", runs)

    def row_apart(self, part, key, label, method, backbone, images, side):
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "row.json")
            call = [sys.executable, "-B", sys.argv[0], part, "--row", "--json", file, "--device", self.options.device]
            call += ["--methods", method, "--backbones", backbone, "--batches", str(images), "--sizes", str(side)]
            call += ["--seconds", str(self.options.seconds), "--threads", str(self.options.threads)]
            flags = {"--quick": self.options.quick, "--compile": self.options.compile, "--channels-last": self.options.channels_last}
            call += [flag for flag, given in flags.items() if given]
            child = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            message = child.stderr.read().decode(errors="replace")
            _, status, used = os.wait4(child.pid, 0)
            if status != 0:
                print(f"{label}: failed: {message.strip().splitlines()[-1:]}")
                return
            with open(file, encoding="utf-8") as handle:
                for figure in json.load(handle)["figures"]:
                    if figure["key"].startswith(part + "."):
                        self.figures.add(figure)
            if self.device.type == "cpu":
                self.figures.number(f"{part}.{key}.memory", f"{label}: peak memory", "bytes", used.ru_maxrss * 1024)

    # probe

    def probe(self):
        count, epochs, batch = self.options.images, self.options.probe_epochs, 128
        pixels, labels = images.cifar10(self.options.data_dir) if self.options.data_dir else self.pixels(count)
        pixels, labels = pixels[:count], labels[:count]
        count = len(labels)
        backbone = networks.backbone("conv4").to(self.device).eval()
        data = images.Views(pixels, labels, images.PLAIN, 1)
        pin = self.device.type == "cuda"
        loader = images.loader(data, batch, self.options.num_workers, True, pin)
        ordered = images.loader(data, 500, self.options.num_workers, False, pin)
        classifier, step = self.classifier()

        def features():
            with torch.no_grad():
                return torch.cat([backbone(batch.to(self.device)) for batch, _ in ordered])

        def epoch_with_features():
            for inputs, targets in loader:
                with torch.no_grad():
                    inputs = backbone(inputs.to(self.device))
                step(inputs, targets.to(self.device)).item()

        cached, targets = features(), torch.as_tensor(labels, device=self.device)

        def epoch_on_cached():
            order = torch.randperm(count, device=self.device)
            for start in range(0, count, batch):
                rows = order[start : start + batch]
                step(cached[rows], targets[rows])

        size = f"N{count}"
        runs = self.clock.measure(features)
        self.figures.seconds(f"probe.features.conv4.{size}", f"conv4 features of {count} images", runs, count, "images")
        runs = [epochs * seconds for seconds in self.clock.measure(epoch_on_cached)]
        key = f"probe.classifier.{size}.E{epochs}"
        self.figures.seconds(key, f"classifier on features of {count} images, {epochs} epochs (one, times {epochs})", runs)
        runs = [epochs * seconds for seconds in self.clock.measure(epoch_with_features)]
        key = f"probe.total.conv4.{size}.E{epochs}"
        self.figures.seconds(key, f"probe of conv4, {epochs} epochs, features again in each (one, times {epochs})", runs)

    def classifier(self):
        classifier = nn.Linear(64, 10).to(self.device)
        optimizer = torch.optim.Adam(classifier.parameters(), lr=1e-3)
        cross_entropy = nn.CrossEntropyLoss()

        def step(inputs, targets):
            optimizer.zero_grad()
            loss = cross_entropy(classifier(inputs), targets)
            loss.backward()
            optimizer.step()
            return loss

        return classifier, step

    # epoch

    def epoch(self):
        if not self.options.data_dir:
            print("epoch: skipped, needs --data-dir DIR with CIFAR-10")
            return
        pixels, labels = images.cifar10(self.options.data_dir)
        pixels, labels = pixels[: self.options.images], labels[: self.options.images]
        batch, backbone, method = 256, "conv4", "sparseclr_qare"
        data = images.Views(pixels, labels, images.contrastive(32), 2)
        pin = self.device.type == "cuda"
        loader = images.loader(data, batch, self.options.num_workers, True, pin)
        encoder, step = self.stepper(backbone, batch, method)
        if self.clock.compiles:  # one-time work of cuDNN and the compiler is not part of an epoch
            step(torch.randn(2 * batch, 3, 32, 32, device=self.device))
        self.clock.synchronize()
        start = time.perf_counter()
        for views, _ in loader:
            step(views.to(self.device, non_blocking=pin).flatten(0, 1))
        self.clock.synchronize()
        trained = time.perf_counter() - start
        with tempfile.TemporaryFile() as file:
            torch.save(encoder.state_dict(), file)
        whole = time.perf_counter() - start
        key = f"epoch.{backbone}.B{batch}.{method}.N{len(labels)}"
        name = f"epoch of {method}, {backbone}, B = {batch}, {len(labels)} images"
        self.figures.seconds(f"{key}.training", f"{name}: training", [trained])
        self.figures.seconds(f"{key}.whole", f"{name}: with its checkpoint", [whole])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self.figures.number(f"{key}.memory", f"{name}: peak memory (workers not counted)", "bytes", peak)

    # memory

    def memory(self):
        steps, batch = self.options.steps, self.options.batches[0]
        views = torch.randn(2 * batch, 3, 32, 32, device=self.device)
        _, step = self.stepper("conv4", batch, "sparseclr_qare")
        for _ in range(max(10, steps // 10)):
            step(views)
        before = self.held()
        for _ in range(steps):
            step(views)
        after = self.held()
        kind = "device memory" if self.device.type == "cuda" else "resident memory"
        key = f"memory.conv4.B{batch}.steps{steps}"
        self.figures.number(f"{key}.held", f"{kind} after {steps} steps of conv4, B = {batch}", "bytes", after)
        self.figures.number(f"{key}.growth", f"growth of {kind} over {steps} steps", "bytes", after - before)

    def held(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            return torch.cuda.memory_allocated()
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()


PARTS = ["views", "photographs", "loader", "objectives", "step", "backbones", "methods", "probe", "epoch", "memory"]
