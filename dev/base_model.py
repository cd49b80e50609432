"""The quickstart's base model on the cluster: made by a Job, and kept on this machine by a hash of what shapes it.

A cluster that was taken down takes its S3 with it; the next one gets the model that the machine has.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from string import Template

from deployment import NAMESPACE, ROOT, Cluster, DeploymentError, images
from machine import cache_folder

from deepcoder_data.folders import commit_folder, download_folder, read_completion
from deepcoder_data.store import ObjectStore

MODEL_FOLDER = "model"
SHAPED_BY = (
    *("examples/quickstart/*.py", "api/deepcoder_api/problems.py"),
    *("constraints/light.txt", "constraints/heavy.txt"),
)


def make_base_model(cluster: Cluster, seed: int, uri: str, namespace: str = NAMESPACE, seconds: float = 1200) -> None:
    """Run the Job that makes the quickstart's base model and problems, and wait for its end.

    What this machine keeps is put there first; the Job then finds it complete. Raises DeploymentError, StoreError.
    """
    store, kept = ObjectStore(cluster.s3_endpoint, "us-east-1"), kept_folder(seed)
    if kept.exists() and read_completion(store, f"{uri}/{MODEL_FOLDER}") is None:
        put(store, kept, uri, seed)
    run_job(cluster, seed, uri, namespace, seconds)
    if not kept.exists():
        keep(store, uri, kept)


def kept_folder(seed: int) -> Path:
    """Where this machine keeps a seed's model and problems, or would."""
    digest = hashlib.sha256(str(seed).encode())
    for file in sorted(file for pattern in SHAPED_BY for file in ROOT.glob(pattern)):
        digest.update(f"\n{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return cache_folder() / "base-models" / digest.hexdigest()[:20]


def put(store: ObjectStore, folder: Path, uri: str, seed: int) -> None:
    """Put what is kept into S3 as make_base_model.py does: the model last."""
    for problems in folder.glob("*.jsonl"):
        store.upload_file(problems, f"{uri}/{problems.name}")
    commit_folder(store, folder / MODEL_FOLDER, f"{uri}/{MODEL_FOLDER}", {"seed": str(seed)})


def keep(store: ObjectStore, uri: str, folder: Path) -> None:
    """Fetch problems and model, each file of it by its checksum, into a folder that appears whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=folder.parent))
    try:
        download_folder(store, f"{uri}/{MODEL_FOLDER}", unfinished / MODEL_FOLDER)
        for found in store.list(uri):
            if found.uri.endswith(".jsonl"):
                store.download_file(found.uri, unfinished / Path(found.uri).name)
        if not folder.exists():
            os.replace(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def run_job(cluster: Cluster, seed: int, uri: str, namespace: str, seconds: float) -> None:
    """Start the Job where it is not there, and wait for its end. Raises DeploymentError."""
    sources = sorted((ROOT / "examples" / "quickstart").glob("*.py"))
    files = [f"--from-file={file}" for file in sources]
    rendered = cluster.kubectl(
        *("-n", namespace, "create", "configmap", "quickstart-maker", *files, "--dry-run=client", "-o", "json")
    )
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=rendered)
    job = Template((ROOT / "dev" / "demo" / "base-model.yaml").read_text()).substitute(
        namespace=namespace, image=images()["trainer"], seed=seed, uri=uri
    )
    if cluster.try_kubectl("-n", namespace, "get", "job", f"base-model-{seed}").returncode != 0:
        cluster.kubectl("apply", "-f", "-", text=job)

    def ended() -> bool:
        conditions = cluster.get("jobs.batch", f"base-model-{seed}", namespace).get("status", {}).get("conditions", [])
        if any(c["type"] == "Failed" and c["status"] == "True" for c in conditions):
            log = cluster.kubectl("-n", namespace, "logs", f"job/base-model-{seed}", "--tail=30")
            raise DeploymentError(f"the base model's Job failed:\n{log}")
        return any(c["type"] == "Complete" and c["status"] == "True" for c in conditions)

    cluster.wait("the base model", ended, seconds)
