"""What the demo and the end-to-end tests put on the clone's cluster: the operator by its chart, S3, the base model."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from string import Template
from typing import Any

from kubernetes import client, config
from onenode import layout
from onenode.layout import Layout
from urllib3.exceptions import HTTPError

from deepcoder_api.manifest import API_VERSION, GROUP

ROOT = layout.ROOT
NAMESPACE = "deepcoder-demo"
SYSTEM_NAMESPACE = "deepcoder-system"
BUCKET = "deepcoder"
S3_NODE_PORT = 30833
POLL_SECONDS = 1.0
CALL_SECONDS = 60
GROUPS = {
    "": "api/v1",
    "apps": "apis/apps/v1",
    "batch": "apis/batch/v1",
    "networking.k8s.io": "apis/networking.k8s.io/v1",
    "policy": "apis/policy/v1",
    GROUP: f"apis/{API_VERSION}",
}
"""API groups to the paths of the versions that are read here."""


class DeploymentError(Exception):
    """Something did not come up; the message says what and how it stood."""


@dataclass(frozen=True)
class Cluster:
    """The clone's cluster, changed by kubectl and helm as a user would, and read by a client that stays."""

    layout: Layout

    @property
    def environment(self) -> dict[str, str]:
        """The environment of kubectl and helm."""
        path = f"{self.layout.binaries}:{os.environ['PATH']}"
        return {**os.environ, "KUBECONFIG": str(self.layout.kubeconfig), "PATH": path}

    @property
    def s3_endpoint(self) -> str:
        """The demo's S3 as this machine reaches it."""
        return f"http://{self.layout.address}:{S3_NODE_PORT}"

    def kubectl(self, *arguments: str, text: str | None = None, seconds: float = 60) -> str:
        """What kubectl prints. Raises DeploymentError."""
        done = self.try_kubectl(*arguments, text=text, seconds=seconds)
        if done.returncode != 0:
            raise DeploymentError(f"`kubectl {' '.join(arguments)}`: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def try_kubectl(
        self, *arguments: str, text: str | None = None, seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """kubectl's end, well or not."""
        return subprocess.run(
            ["kubectl", *arguments],
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def get(self, kind: str, name: str, namespace: str = NAMESPACE) -> dict[str, Any]:
        """An object of a kind, as in `jobs.batch`. Raises DeploymentError when it is not there."""
        return self._read(kind, namespace, name)

    def items(self, kind: str, selector: str = "", namespace: str = NAMESPACE) -> list[dict[str, Any]]:
        """The objects of a kind that a label selector chooses. They have no `kind`, as in every list."""
        return self._read(kind, namespace, selector=selector)["items"]

    def _read(self, kind: str, namespace: str, name: str = "", selector: str = "") -> dict[str, Any]:
        plural, _, group = kind.partition(".")
        path = "/".join(("", GROUPS[group], "namespaces", namespace, plural, *((name,) if name else ())))
        request = self._api.param_serialize(
            *("GET", path),
            query_params=[("labelSelector", selector)] if selector else [],
            auth_settings=["BearerToken"],
        )
        try:
            response = self._api.call_api(*request, _request_timeout=CALL_SECONDS)
            text = response.read()
        except HTTPError as error:
            raise DeploymentError(f"GET {path}: {error}") from error
        if response.status != 200:
            raise DeploymentError(f"GET {path}: {response.status} {response.reason}")
        return json.loads(text)

    @cached_property
    def _api(self) -> client.ApiClient:
        return config.new_client_from_config(str(self.layout.kubeconfig))

    def wait(self, what: str, condition: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition. Raises DeploymentError after the deadline."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                pods = self.kubectl("get", "pods", "--all-namespaces", "-o", "wide")
                raise DeploymentError(f"{what}: not so after {seconds:.0f} s\n{pods}")
            time.sleep(POLL_SECONDS)


def connected() -> Cluster:
    """This clone's cluster. Raises DeploymentError when it is down."""
    found = layout.existing(ROOT)
    if found is None or not found.kubeconfig.exists():
        raise DeploymentError("the cluster is down: bring it up with `make cluster`")
    return Cluster(found)


def images() -> dict[str, str]:
    """Role to image, as dev/images.py pushed them."""
    return json.loads((ROOT / "build" / "images.json").read_text())


def install_operator(cluster: Cluster) -> None:
    """Install or upgrade the chart, with the images of this clone, and wait until the operator is ready."""
    values: list[str] = []
    for role, image in images().items():
        if role != "seaweedfs":  # the demo's S3 is not the chart's
            values += ["--set-string", f"images.{role}={image}"]
    chart = str(ROOT / "charts" / "deepcoder-operator")
    command = ["helm", "upgrade", "--install", "deepcoder-operator", chart, "--namespace", SYSTEM_NAMESPACE]
    command += ["--create-namespace", "--wait", "--timeout", "5m", "--set", "runtimeClass.create=false", *values]
    done = subprocess.run(command, env=cluster.environment, capture_output=True, text=True, timeout=400, check=False)
    if done.returncode != 0:
        state = cluster.kubectl("-n", SYSTEM_NAMESPACE, "describe", "pods")
        raise DeploymentError(f"helm could not install the operator: {done.stderr.strip()}\n{state[-3000:]}")


def deploy_storage(cluster: Cluster, namespace: str = NAMESPACE) -> dict[str, str]:
    """S3 as a pod, its credentials in a Secret, and the bucket; returns the credentials as AWS_* variables."""
    cluster.kubectl("apply", "-f", "-", text=f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n")
    keys = credentials(cluster, namespace)
    if keys is None:
        keys = {"AWS_ACCESS_KEY_ID": secrets.token_hex(8), "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20)}
    text = Template((ROOT / "dev" / "demo" / "storage.yaml").read_text()).substitute(
        namespace=namespace,
        image=images()["seaweedfs"],
        access_key=keys["AWS_ACCESS_KEY_ID"],
        secret_key=keys["AWS_SECRET_ACCESS_KEY"],
    )
    cluster.kubectl("apply", "-f", "-", text=text)
    cluster.kubectl("-n", namespace, "rollout", "status", "deployment/seaweedfs", "--timeout=300s", seconds=320)
    with aws_environment(keys):
        cluster.wait("the demo's bucket", lambda: _bucket_there(cluster), 60)
    return keys


def credentials(cluster: Cluster, namespace: str = NAMESPACE) -> dict[str, str] | None:
    """The demo's S3 credentials, or None before they are made."""
    import base64

    found = cluster.try_kubectl("-n", namespace, "get", "secret", "s3-credentials", "-o", "json")
    if found.returncode != 0:
        return None
    return {name: base64.b64decode(value).decode() for name, value in json.loads(found.stdout)["data"].items()}


@contextmanager
def aws_environment(keys: dict[str, str]) -> Iterator[None]:
    """The credentials as environment variables, for our own store's client."""
    before = {name: os.environ.get(name) for name in keys}
    os.environ.update(keys)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _bucket_there(cluster: Cluster) -> bool:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client("s3", endpoint_url=cluster.s3_endpoint, region_name="us-east-1")
    try:
        client.create_bucket(Bucket=BUCKET)
    except client.exceptions.BucketAlreadyOwnedByYou:
        return True
    except ClientError as error:
        return error.response["Error"]["Code"] in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou")
    except BotoCoreError:
        return False
    return True


if __name__ == "__main__":
    sys.exit("this is a library of dev/demo.py and the end-to-end tests")
