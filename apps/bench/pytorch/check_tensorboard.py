"""Reads the files of `--logger tensorboard` with TensorBoard itself. Fails if a value is missing or differs from `log.csv`.

    cargo build --release
    python apps/bench/pytorch/check_tensorboard.py [--program target/release/qare]

It trains a small run, kills three others and resumes them, and needs the package tensorboard. It takes a few seconds.
"""

import argparse
import csv
import json
import pathlib
import signal
import subprocess
import tempfile
import time

from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.context import RequestContext
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import backend_context, list_session_groups, api_pb2
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin

EPOCHS = 3
FLAGS = f"pretrain --dataset shapes --train-images 400 --batch-size 32 --epochs {EPOCHS} --no-tui --logger tensorboard,jsonl".split()


def scalars(folder):
    """All scalars of a run: steps and values by tag."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def check_scalars(folder):
    found = scalars(folder)
    lines = (folder / "steps.jsonl").read_text().splitlines()
    steps = [step for step, _ in found["train/loss"]]
    assert steps == list(range(1, len(lines) + 1)), steps
    with open(folder / "log.csv") as log:
        rows = list(csv.DictReader(log))
    for column in ("loss", "score", "pairwise", "rankme", "gradient_norm"):
        values = [value for _, value in found[f"epoch/{column}"]]
        assert len(values) == EPOCHS, (column, values)
        for value, row in zip(values, rows):
            assert abs(value - float(row[column])) <= 5e-3 + 1e-5 * abs(value), (column, value, row[column])
    return len(steps)


def check_hyperparameters(out):
    """The table of the plugin: a session for each run, with settings and last values."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(out))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(out))
    context = backend_context.Context(base_plugin.TBContext(data_provider=provider, multiplexer=multiplexer))
    request_context = RequestContext()
    runs_to_tags = context.hparams_metadata(request_context, "")
    experiment = context.experiment_from_metadata(request_context, "", True, runs_to_tags, [])
    infos = {info.name for info in experiment.hparam_infos}
    metrics = {info.name.tag for info in experiment.metric_infos}
    assert {"learning_rate", "method", "K"} <= infos, infos
    assert {"epoch/loss", "epoch/score"} <= metrics, metrics
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=10,
        allowed_statuses=[api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING],
    )
    handler = list_session_groups.Handler(request_context, context, "", request)
    groups = handler.run().session_groups
    for group in groups:
        assert group.hparams["learning_rate"].number_value == 0.001, group
        assert {value.name.tag for value in group.metric_values} >= {"epoch/loss", "epoch/score"}, group
        assert [session.status for session in group.sessions] == [api_pb2.STATUS_SUCCESS], group
    return len(groups)


def check_projector(out, folder):
    """The plugin finds the configuration, and its files have as many rows as it says."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(out))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(out))
    plugin = ProjectorPlugin(base_plugin.TBContext(data_provider=provider, multiplexer=multiplexer, logdir=str(out)))
    plugin._update_configs()
    config = plugin._configs[folder.name]
    embedding = config.embeddings[0]
    count, dim = embedding.tensor_shape
    rows = [line.split("\t") for line in (folder / embedding.tensor_path).read_text().splitlines()]
    assert len(rows) == count and all(len(row) == dim for row in rows)
    assert len((folder / embedding.metadata_path).read_text().splitlines()) == count + 1
    assert (folder / embedding.sprite.image_path).read_bytes().startswith(b"\x89PNG")
    return count


def train_and_kill(call, out, name, epochs, seconds):
    """Kills a run so many seconds after an epoch is finished, and resumes it. Returns whether it was killed before it ended."""

    def finished():
        return any(json.loads(path.read_text())["epoch"] >= epochs for path in out.glob(f"*_{name}/latest.json"))

    killed = subprocess.Popen([*call, "--id", name], stdout=subprocess.DEVNULL)
    while not finished() and killed.poll() is None:
        time.sleep(0.001)
    time.sleep(seconds)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() in (0, -signal.SIGKILL), killed.returncode
    in_time = killed.returncode == -signal.SIGKILL
    subprocess.run([*call, "--id", name, "--resume"], check=True, stdout=subprocess.DEVNULL)
    return in_time


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/qare")
    program = parser.parse_args().program
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        subprocess.run([program, *FLAGS, "--out", out, "--id", "whole"], check=True, stdout=subprocess.DEVNULL)
        call = [program, *FLAGS, "--out", out]
        # Between two epochs, in the middle of one, and after the last one, before the end of the logs.
        kills = [("between", 1, 0.0), ("within", 1, 0.03), ("at_end", EPOCHS, 0.0)]
        for name, epochs, seconds in kills:
            if not train_and_kill(call, out, name, epochs, seconds):
                print(f"{name}: the run ended before it was killed")
        for name in ("whole", *(name for name, _, _ in kills)):
            run = next(out.glob(f"*_{name}"))
            files = len(list(run.glob("events.out.tfevents.*")))
            print(f"{name}: {check_scalars(run)} steps in {files} event files")
            print(f"{name}: the projector has {check_projector(out, run)} points")
        print(f"hyperparameters of {check_hyperparameters(out)} runs")


if __name__ == "__main__":
    main()
