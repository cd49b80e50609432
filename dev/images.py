"""`python3 dev/images.py build [--push] [--role ROLE …] [--accelerator cuda]`: the images of this clone.

Each image's tag is a hash of all that shapes it, so what a registry holds is never built again. With --push they go to
the registry of this clone's cluster, and build/images.json says where each role's image lies.
"""

from __future__ import annotations

import argparse
import fcntl

from imagebuild.builder import Builder, Registry, write_references
from imagebuild.plan import ROLES, plan
from machine import MissingError, cache_folder, check_machine, entry_point, install_packages
from onenode import host, layout

IMAGE_PACKAGES = {
    "buildah": "/usr/bin/buildah",
    "debootstrap": "/usr/sbin/debootstrap",
    "ca-certificates": "/etc/ssl/certs/ca-certificates.crt",
}
REGISTRY_PORT = 5000


def cluster_registry() -> Registry:
    """The registry of this clone's cluster. Raises MissingError when the cluster is down."""
    cluster = layout.existing(layout.ROOT)
    if cluster is None or not host.is_running(cluster):
        raise MissingError("the cluster of this clone is down: bring it up with `make cluster`")
    return Registry(layout.REGISTRY, f"{cluster.address}:{REGISTRY_PORT}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="dev/images.py", description=__doc__)
    parser.add_argument("command", choices=["build"])
    parser.add_argument("--push", action="store_true", help="push to the registry of this clone's cluster")
    parser.add_argument("--role", action="append", choices=ROLES, help="only these images; all without it")
    parser.add_argument("--accelerator", choices=["cpu", "cuda"], default="cpu")
    arguments = parser.parse_args()
    check_machine(needs_go=False)
    install_packages(IMAGE_PACKAGES)
    planned = plan(layout.ROOT, arguments.accelerator)
    wanted = [planned[role] for role in arguments.role or ROLES]
    registry = cluster_registry() if arguments.push else None
    with (cache_folder() / ".images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two clones never build the same at once
        builder = Builder(layout.ROOT, cache_folder(), registry)
        for image in wanted:
            if registry is None:
                builder.build(image)
            else:
                builder.push(image, registry)
    if registry is not None:
        references = {image.name: image.reference(registry.name) for image in wanted}
        write_references(references, layout.ROOT / "build" / "images.json")
        print(f"    images are in the cluster's registry ({', '.join(references)})")


if __name__ == "__main__":
    entry_point(main)
