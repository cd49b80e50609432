"""Building planned images with buildah, and moving them between its storage and a registry. Effects live here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from environment import uv
from machine import MissingError, run, timed

from imagebuild.plan import BASE_PACKAGES, Image

BUILD_SECONDS = 3600.0
TRANSFER_SECONDS = 900.0
REGISTRY_SECONDS = 10.0
SUITE = "bookworm"
MANIFEST_TYPES = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Registry:
    """A registry. `name` is what images are called by, `address` where it is reached from here (plain HTTP)."""

    name: str
    address: str

    def holds(self, image: Image) -> bool:
        """Whether the image is there. Raises MissingError when the registry does not answer."""
        url = f"http://{self.address}/v2/{image.repository}/manifests/{image.tag}"
        request = urllib.request.Request(url, method="HEAD", headers={"Accept": MANIFEST_TYPES})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=REGISTRY_SECONDS):
                return True
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return False
            raise MissingError(f"the registry at {self.address} answered {error.code}") from error
        except OSError as error:
            raise MissingError(f"the registry at {self.address} does not answer: {error}") from error


class Builder:
    """buildah with a storage of its own in the machine's cache, so that every clone finds the others' layers."""

    def __init__(self, root: Path, cache: Path, registry: Registry | None) -> None:
        self._root = root
        self._cache = cache / "buildah"
        self._registry = registry
        self._cache.mkdir(parents=True, exist_ok=True)

    def build(self, image: Image) -> None:
        """Bring the image into the storage: there already, pulled, or built on its parent. Raises MissingError."""
        if self._stored(image):
            return
        if self._registry is not None and self._registry.holds(image):
            self._pull(image)
            return
        if image.parent is not None:
            self.build(image.parent)
        with timed(f"building the image {image.name}"), self._context(image) as context:
            arguments = [*image.arguments, *((("BASE", self._name(image.parent)),) if image.parent else ())]
            self._buildah(
                *("build", "--isolation", "chroot", "--layers=false", "--quiet", "--format", "oci"),
                *("--volume", f"{self._uv_cache()}:/root/.cache/uv"),
                *(part for name, value in arguments for part in ("--build-arg", f"{name}={value}")),
                *("--tag", self._name(image), "--file", str(context / "Containerfile"), str(context)),
                seconds=BUILD_SECONDS,
            )

    def push(self, image: Image, registry: Registry) -> None:
        """Build the image if needed and push it, unless the registry has it. Raises MissingError."""
        if registry.holds(image):
            return
        self.build(image)
        with timed(f"pushing the image {image.name}"):
            self._buildah(
                *("push", "--quiet", "--tls-verify=false", "--compression-format", "zstd", "--compression-level", "1"),
                *(self._name(image), f"docker://{image.reference(registry.address)}"),
                seconds=TRANSFER_SECONDS,
            )

    def _pull(self, image: Image) -> None:
        assert self._registry is not None
        reference = image.reference(self._registry.address)
        with timed(f"pulling the image {image.name} from the registry"):
            self._buildah("pull", "--quiet", "--tls-verify=false", f"docker://{reference}", seconds=TRANSFER_SECONDS)
            self._buildah("tag", reference, self._name(image), seconds=60)

    def _stored(self, image: Image) -> bool:
        command = self._command("inspect", "--type", "image", self._name(image))
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0

    def _name(self, image: Image) -> str:
        return image.reference("localhost")

    def _buildah(self, *arguments: str, seconds: float) -> str:
        return run(self._command(*arguments), seconds=seconds)

    def _command(self, *arguments: str) -> list[str]:
        storage = ("--root", str(self._cache / "storage"), "--runroot", str(self._cache / "run"))
        return ["buildah", *storage, "--storage-driver", "overlay", *arguments]

    def _uv_cache(self) -> str:
        folder = run([str(uv()), "cache", "dir"], seconds=60).strip()
        Path(folder).mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def _context(self, image: Image) -> Iterator[Path]:
        """The folder that the image is built from."""
        with tempfile.TemporaryDirectory(prefix=f"deepcoder-image-{image.name}-") as name:
            context = Path(name)
            for file, contents in image.files:
                (context / file).write_bytes(contents)
            if image.parent is None:
                make_base_archive(context / "base.tar")
            else:
                shutil.copyfile(uv(), context / "uv")
                (context / "uv").chmod(0o755)
                shutil.copyfile(os.environ.get("SSL_CERT_FILE") or CERTIFICATES, context / "ca.crt")
            if image.code:
                make_wheel(self._root, context)
            yield context


def make_base_archive(archive: Path) -> None:
    """A Debian with `BASE_PACKAGES` and little else, as a tar archive. Raises MissingError."""
    with tempfile.TemporaryDirectory(prefix="deepcoder-debian-") as name:
        system = Path(name) / "system"
        run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(BASE_PACKAGES)}", SUITE, str(system)],
            seconds=BUILD_SECONDS,
        )
        # What only apt and readers need; apt makes its own anew.
        for folder in ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "usr/share/man"):
            shutil.rmtree(system / folder, ignore_errors=True)
            (system / folder).mkdir(parents=True)
        run(["tar", "--numeric-owner", "-C", str(system), "-cf", str(archive), "."], seconds=300)


def make_wheel(root: Path, into: Path) -> None:
    """The project's wheel, built into a folder. Raises MissingError."""
    quiet = {"UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never"}
    run([str(uv()), "build", "--quiet", "--wheel", "--out-dir", str(into), str(root)], seconds=300, **quiet)


def write_references(images: dict[str, str], file: Path) -> None:
    """Role to reference, for those who deploy."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(images, indent=1) + "\n")
