"""The cluster's certificate authority, the components' certificates and their kubeconfigs, made by openssl."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from machine import run

from onenode.layout import NODE, Layout

DAYS = "365"
# name -> subject. Groups (O) give the rights that Kubernetes ties to them.
IDENTITIES = {
    "admin": "/O=system:masters/CN=admin",
    "apiserver": "/CN=kube-apiserver",
    "kubelet": f"/O=system:nodes/CN=system:node:{NODE}",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "proxy": "/CN=system:kube-proxy",
}


def make_certificates(layout: Layout) -> None:
    """Make what is not there yet, under `state`/pki."""
    folder = layout.state / "pki"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "sa.pub").exists():
        _openssl(folder, "genrsa", "-out", "sa.key", "2048")
        _openssl(folder, "rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub")
    if not (folder / "ca.crt").exists():
        subject = ("-subj", "/CN=deepcoder-cluster", "-days", DAYS)
        _openssl(
            folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", *subject
        )
    for name, subject in IDENTITIES.items():
        if not (folder / f"{name}.crt").exists():
            _sign(folder, name, subject, _names(layout, name))
    for name in IDENTITIES:
        if name != "apiserver":
            write_kubeconfig(layout, name, layout.state / f"{name}.conf", "https://127.0.0.1:6443")
    write_kubeconfig(layout, "admin", layout.kubeconfig, f"https://{layout.address}:6443")


def write_kubeconfig(layout: Layout, name: str, file: Path, server: str) -> None:
    """Write a kubeconfig with the identity `name`, everything inside the file."""
    folder = layout.state / "pki"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "deepcoder",
        "clusters": [
            {"name": "deepcoder", "cluster": {"server": server, "certificate-authority-data": _text(folder / "ca.crt")}}
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": _text(folder / f"{name}.crt"),
                    "client-key-data": _text(folder / f"{name}.key"),
                },
            }
        ],
        "contexts": [{"name": "deepcoder", "context": {"cluster": "deepcoder", "user": name}}],
    }
    file.write_text(json.dumps(config, indent=1))
    file.chmod(0o600)


def _names(layout: Layout, name: str) -> str:
    if name == "apiserver":
        services = "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost"
        return f"IP:127.0.0.1,IP:10.96.0.1,IP:{layout.address},{services}"
    if name == "kubelet":
        return f"DNS:{NODE},IP:127.0.0.1,IP:{layout.address}"
    return f"DNS:{name}"


def _sign(folder: Path, name: str, subject: str, names: str) -> None:
    request = ("-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
    _openssl(folder, "req", *request)
    (folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
    authority = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", DAYS)
    _openssl(folder, "x509", "-req", "-in", f"{name}.csr", *authority, "-out", f"{name}.crt", "-extfile", f"{name}.ext")


def _openssl(folder: Path, *arguments: str) -> None:
    run(["openssl", *arguments], seconds=60, folder=folder)


def _text(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
