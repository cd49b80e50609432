"""`make demo`: a better model, trained on this clone's cluster, and by how much. Ends with build/demo/summary.json.

What is there already is left as it is: a second call shows what the first one made.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

from base_model import kept_folder, make_base_model
from deployment import (
    NAMESPACE,
    ROOT,
    Cluster,
    DeploymentError,
    aws_environment,
    connected,
    deploy_storage,
    install_operator,
)
from machine import MissingError, entry_point, timed
from quickstart import Document, Quickstart, base_uri, checkpoint_facts, quickstart, sandbox_kernel, score

from deepcoder_cli.progress import line
from deepcoder_cli.watch import view_of_status
from deepcoder_data.store import StoreError

SUMMARY = ROOT / "build" / "demo" / "summary.json"
DEMO_SECONDS = 1800.0
LOOK_SECONDS = 2.0
ENDED = ("Succeeded", "Failed")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="dev/demo.py", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="base models to train, one after the other")
    arguments = parser.parse_args()
    try:
        demonstrate(arguments.seeds)
    except (DeploymentError, StoreError) as error:
        raise MissingError(str(error)) from error


def demonstrate(seeds: list[int]) -> None:
    """Deploy, train each seed, write the summary and say it. Raises DeploymentError, StoreError."""
    started, cluster = time.monotonic(), connected()
    with timed("installing the operator (helm) and S3"):
        install_operator(cluster)
        keys = deploy_storage(cluster)
    deployed = time.monotonic()
    with aws_environment(keys):
        outcomes = [train(cluster, seed) for seed in seeds]
    before = json.loads((ROOT / "build" / "seconds.json").read_text())
    first = outcomes[0]
    seconds = {
        "setup": round(before["environment"] + before["cluster"] + deployed - started, 1),
        "images": before["images"],
        "model": first.pop("model_seconds"),
        "training": first.pop("training_seconds"),
        "total": round(sum(before.values()) + time.monotonic() - started, 1),
    }
    summary = {**node_facts(cluster), **first, "seconds": seconds}
    if len(outcomes) > 1:
        summary["seeds"] = [
            {key: outcome[key] for key in ("seed", "run", "held_out", "checkpoint")} for outcome in outcomes
        ]
    SUMMARY.parent.mkdir(parents=True, exist_ok=True)
    SUMMARY.write_text(json.dumps(summary, indent=1) + "\n")
    farewell(outcomes)


def train(cluster: Cluster, seed: int) -> dict[str, Any]:
    """The whole example for one seed, and what came of it. Raises DeploymentError, StoreError."""
    begun, example = time.monotonic(), quickstart(seed)
    how = "putting into S3 what this machine keeps of" if kept_folder(seed).exists() else "making (about 3 min)"
    with timed(f"{how} the base model and its problems, seed {seed}"):
        make_base_model(cluster, seed, base_uri(seed))
    made = time.monotonic()
    print(f"==> kubectl apply -n {NAMESPACE} -f examples/quickstart/", flush=True)
    for document in example.documents:
        cluster.kubectl("-n", NAMESPACE, "apply", "-f", "-", text=json.dumps(document))
    follow(cluster, example)
    before, run, after = (live(cluster, document) for document in example.documents)
    (score_before, problems), (score_after, _) = score(before), score(after)
    return {
        "sandbox_kernel": sandbox_kernel(cluster, after),
        "seed": seed,
        "run": {
            "name": run["metadata"]["name"],
            "phase": run["status"]["phase"],
            "steps": run["status"]["step"],
            "stages": len(run["spec"]["stages"]),
        },
        "held_out": {"problems": problems, "pass_at_1_before": score_before, "pass_at_1_after": score_after},
        "checkpoint": checkpoint_facts(cluster, run),
        "model_seconds": round(made - begun, 1),
        "training_seconds": round(time.monotonic() - made, 1),
    }


def follow(cluster: Cluster, example: Quickstart) -> None:
    """Show how the three come along until all have ended well. Raises DeploymentError when one fails or time is up."""
    deadline, said = time.monotonic() + DEMO_SECONDS, dict[str, str]()
    while True:
        resources = [live(cluster, document) for document in example.documents]
        for resource in resources:
            name, text = resource["metadata"]["name"], shown(resource)
            if said.get(name) != text:
                said[name] = text
                print(f"    {text}", flush=True)
        phases = [resource.get("status", {}).get("phase") for resource in resources]
        for resource, phase in zip(resources, phases, strict=True):
            if phase == "Failed":
                raise DeploymentError(f"{resource['metadata']['name']} failed: {resource['status'].get('message')}")
        if phases == ["Succeeded"] * len(phases):
            return
        if time.monotonic() > deadline:
            pods = cluster.kubectl("-n", NAMESPACE, "get", "pods", "-o", "wide")
            raise DeploymentError(f"not ended after {DEMO_SECONDS:.0f} s: {said}\n{pods}")
        time.sleep(LOOK_SECONDS)


def shown(resource: Document) -> str:
    """One line of how a resource stands."""
    name, status = resource["metadata"]["name"], resource.get("status", {})
    if resource["kind"] == "TrainingRun":
        view = view_of_status(name, {**status, "estimatedCompletion": None}, datetime.now(UTC))
        return line(view)
    graded = f", {status['answered']} of {status['total']} graded" if status.get("total") else ""
    return f"{name}: {status.get('phase', 'Pending')}{graded}, {status.get('message', '')}".rstrip(", ")


def live(cluster: Cluster, document: Document) -> Document:
    """The resource as it stands on the cluster."""
    return cluster.get(f"{document['kind'].lower()}s.deepcoder.dev", document["metadata"]["name"])


def node_facts(cluster: Cluster) -> dict[str, str]:
    """Versions of Kubernetes and of the node's container runtime."""
    node = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"][0]["status"]["nodeInfo"]
    return {"kubernetes_version": node["kubeletVersion"], "node_runtime": node["containerRuntimeVersion"]}


def farewell(outcomes: list[dict[str, Any]]) -> None:
    """What came of it, how to look around, and how to take it down."""
    print("\n    held-out pass@1 (greedy, graded in gVisor)")
    for outcome in outcomes:
        held_out = outcome["held_out"]
        before, after = held_out["pass_at_1_before"], held_out["pass_at_1_after"]
        print(f"    seed {outcome['seed']}: {before:.3f} -> {after:.3f} over {held_out['problems']} problems")
        checkpoint = outcome["checkpoint"]
        checked = "verified" if checkpoint["verified"] else "DAMAGED"
        print(f"      checkpoint: {checkpoint['uri']} ({checkpoint['files']} files, {checked})")
    run = outcomes[0]["run"]["name"]
    print(f"""
    look around:
      export KUBECONFIG=$PWD/build/cluster/kubeconfig PATH=$PWD/build/bin:$PWD/.venv/bin:$PATH
      kubectl -n {NAMESPACE} get trainingruns,evaluations
      kubectl -n {NAMESPACE} describe trainingrun {run}
      kubectl -n {NAMESPACE} logs -l deepcoder.dev/owner-name={run},deepcoder.dev/role=trainer --tail=20
      deepcoder watch {run} -n {NAMESPACE}
    train again:   kubectl -n {NAMESPACE} delete trainingruns,evaluations --all; make demo
    take it down:  make down
    summary:       {SUMMARY.relative_to(ROOT)}""")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "dev"))
    entry_point(main)
