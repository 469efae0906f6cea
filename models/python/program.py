"""Calls of the program, for the scripts that compare its files with other programs."""

import json
import subprocess
import sys

from safetensors import safe_open


def qare(program, *arguments):
    """Runs the program and returns what it prints. Ends the script if it fails."""
    command = [str(program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def embed(program, checkpoint, images, output, *flags):
    """Returns the features that `qare embed` writes, by file name."""
    qare(program, "embed", "--checkpoint", checkpoint, "--dataset", "folder", "--data-dir", images, "--output", output, *flags)
    with safe_open(output, framework="np") as file:
        names = json.loads(file.metadata()["file_names"])
        return dict(zip(names, file.get_tensor("features"), strict=True))
