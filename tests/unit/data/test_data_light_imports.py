"""The worker image has constraints/light.txt and nothing else: its modules must import with just that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

# Hides every installed distribution that light.txt does not name, as if it were not installed.
PROGRAM = """
import importlib, importlib.machinery, importlib.metadata, re, sys
from pathlib import Path
normal = lambda name: re.sub(r"[-_.]+", "-", name).lower()
lines = Path("constraints/light.txt").read_text().splitlines()
light = {normal(line.split("==")[0]) for line in lines if line and not line.startswith("#")} | {"deepcoder-operator"}
owners = importlib.metadata.packages_distributions()
hidden = {name for name, dists in owners.items() if not {normal(dist) for dist in dists} & light}
assert "torch" in hidden and "pytest" in hidden, "nothing is hidden: the test would prove nothing"
before = {name.split(".")[0] for name in sys.modules}  # what starts with every interpreter of this environment
find = importlib.machinery.PathFinder.find_spec
def without_hidden(name, path=None, target=None):
    return None if name.split(".")[0] in hidden else find(name, path, target)
importlib.machinery.PathFinder.find_spec = without_hidden
for name in sys.argv[1:]:
    importlib.import_module(name)
assert not (found := hidden & {name.split(".")[0] for name in sys.modules} - before), found
"""


def test_every_module_of_the_worker_imports_with_the_light_packages_alone() -> None:
    """Preflight, preparation, fetching and the evaluator need neither torch nor anything else that is heavy."""
    data = [f"deepcoder_data.{file.stem}" for file in sorted((ROOT / "data" / "deepcoder_data").glob("[!_]*.py"))]
    evaluation = [
        f"deepcoder_evaluation.{file.stem}"
        for file in sorted((ROOT / "evaluation" / "deepcoder_evaluation").glob("[!_]*.py"))
    ]
    modules = [*data, *evaluation, "deepcoder_trainer.preflight", "deepcoder_trainer.prepare"]

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *modules],
        cwd=ROOT,
        env={"PYTHONPATH": ":".join(str(ROOT / room) for room in ("api", "data", "trainer", "evaluation", "sandbox"))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
