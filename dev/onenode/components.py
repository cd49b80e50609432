"""The cluster's long-lived processes: command lines and configuration files, as pure functions of the layout."""

from __future__ import annotations

import json
from dataclasses import dataclass

from onenode.layout import DNS_ADDRESS, NODE, NODE_NETWORK, POD_NETWORK, REGISTRY, SERVICE_NETWORK, Layout

PAUSE_IMAGE = "deepcoder.local/pause:1"


@dataclass(frozen=True)
class Component:
    """A process of the cluster; it is started again when it ends.

    What `needs_api` starts once the API server answers and has its first roles. A component that is refused by an API
    server that is still without roles tries again after ever longer pauses.
    """

    name: str
    command: tuple[str, ...]
    needs_api: bool = True


def control_plane(layout: Layout) -> list[Component]:
    """etcd, the API server, the controllers and the scheduler."""
    state, binaries = layout.state, layout.binaries
    pki = state / "pki"

    def identity(name: str) -> tuple[str, ...]:
        config = str(state / f"{name}.conf")
        return ("--kubeconfig", config, "--authentication-kubeconfig", config, "--authorization-kubeconfig", config)

    etcd = (
        *(str(binaries / "etcd"), "--data-dir", str(state / "etcd"), "--unsafe-no-fsync"),
        *("--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls", "http://127.0.0.1:2379"),
        *("--listen-peer-urls", "http://127.0.0.1:2380"),
    )
    apiserver = (
        *(str(binaries / "kube-apiserver"), "--etcd-servers=http://127.0.0.1:2379", "--secure-port=6443"),
        *("--bind-address=0.0.0.0", f"--advertise-address={layout.address}", "--allow-privileged=true"),
        *(f"--service-cluster-ip-range={SERVICE_NETWORK}", "--authorization-mode=Node,RBAC"),
        "--enable-admission-plugins=NodeRestriction",
        *(f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key"),
        *(f"--client-ca-file={pki}/ca.crt", f"--service-account-key-file={pki}/sa.pub"),
        *(f"--service-account-signing-key-file={pki}/sa.key",),
        "--service-account-issuer=https://kubernetes.default.svc",
        *(f"--kubelet-client-certificate={pki}/admin.crt", f"--kubelet-client-key={pki}/admin.key"),
        *(f"--kubelet-certificate-authority={pki}/ca.crt", "--kubelet-preferred-address-types=InternalIP"),
    )
    controllers = (
        *(str(binaries / "kube-controller-manager"), *identity("controller-manager")),
        *(f"--service-account-private-key-file={pki}/sa.key", f"--root-ca-file={pki}/ca.crt"),
        *("--use-service-account-credentials=true", "--allocate-node-cidrs=true", f"--cluster-cidr={POD_NETWORK}"),
        *(f"--cluster-signing-cert-file={pki}/ca.crt", f"--cluster-signing-key-file={pki}/ca.key"),
        "--leader-elect=false",
    )
    scheduler = (str(binaries / "kube-scheduler"), *identity("scheduler"), "--leader-elect=false")
    return [
        Component("etcd", etcd, needs_api=False),
        Component("kube-apiserver", apiserver, needs_api=False),
        Component("kube-controller-manager", controllers),
        Component("kube-scheduler", scheduler),
    ]


def node(layout: Layout) -> list[Component]:
    """The registry, containerd, the kubelet and kube-proxy."""
    state, binaries = layout.state, layout.binaries
    registry = (str(binaries / "registry"), "serve", str(state / "registry.json"))
    containerd = (str(binaries / "containerd"), "-c", str(state / "containerd.toml"))
    kubelet = (
        *(str(binaries / "kubelet"), "--config", str(state / "kubelet.json"), "--oom-score-adj=0"),
        *("--kubeconfig", str(state / "kubelet.conf"), f"--hostname-override={NODE}"),
        *("--root-dir", str(state / "kubelet"), f"--node-ip={layout.address}"),
    )
    proxy = (
        *(str(binaries / "kube-proxy"), "--kubeconfig", str(state / "proxy.conf"), f"--hostname-override={NODE}"),
        *(f"--cluster-cidr={POD_NETWORK}", "--proxy-mode=iptables", "--oom-score-adj=0"),
        # Connection tracking is sized by the host: its limits are not ours to write from a namespace.
        *("--conntrack-max-per-core=0", "--conntrack-min=0"),
        *("--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s"),
    )
    return [
        Component("registry", registry, needs_api=False),
        Component("containerd", containerd, needs_api=False),
        Component("kubelet", kubelet),
        Component("kube-proxy", proxy),
    ]


def policy_enforcer(layout: Layout) -> Component:
    """The NetworkPolicy enforcer."""
    enforcer = f"{layout.clone}/dev/netpolicy/enforcer.py"
    kubectl = str(layout.binaries / "kubectl")
    config = str(layout.state / "admin.conf")
    return Component("netpolicy", ("/usr/bin/python3", enforcer, "--kubeconfig", config, "--kubectl", kubectl))


def configuration_files(layout: Layout, *, cgroup_version: int) -> dict[str, str]:
    """Every configuration file, by its path under the state folder."""
    return {
        "containerd.toml": _containerd(layout),
        "runsc.toml": '[runsc_config]\nplatform = "systrap"\nignore-cgroups = "false"\n',
        "certs.d/" + REGISTRY + "/hosts.toml": _registry_host(layout),
        "cni/10-bridge.conflist": json.dumps(_network()),
        "kubelet.json": json.dumps(_kubelet(layout, cgroup_version)),
        "registry.json": json.dumps(_registry(layout)),
        # Pods must not fall back to the machine's own name servers.
        "resolv.conf": "options ndots:5\n",
    }


def _containerd(layout: Layout) -> str:
    state = layout.state
    return f"""version = 3
root = "{state}/containerd/root"
state = "/run/containerd"
oom_score = 0
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  max_concurrent_downloads = 4
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "{PAUSE_IMAGE}"
  [plugins.'io.containerd.cri.v1.images'.registry]
    config_path = "{state}/certs.d"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "{state}/cni"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runsc]
    runtime_type = "io.containerd.runsc.v1"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runsc.options]
      TypeUrl = "io.containerd.runsc.v1.options"
      ConfigPath = "{state}/runsc.toml"
"""


def _registry_host(layout: Layout) -> str:
    return f"""server = "http://{layout.address}:5000"
[host."http://{layout.address}:5000"]
  capabilities = ["pull", "resolve"]
"""


def _network() -> dict[str, object]:
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": NODE_NETWORK}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, ports]}


def _kubelet(layout: Layout, cgroup_version: int) -> dict[str, object]:
    state = layout.state
    settings: dict[str, object] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.cgroup}",
        "failSwapOn": False,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS_ADDRESS],
        "resolvConf": str(state / "resolv.conf"),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(state / "pki" / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(state / "pki" / "kubelet.crt"),
        "tlsPrivateKeyFile": str(state / "pki" / "kubelet.key"),
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "serializeImagePulls": False,
        "maxPods": 200,
        "runtimeRequestTimeout": "15m",
        "shutdownGracePeriod": "0s",
    }
    if cgroup_version == 1:
        settings["failCgroupV1"] = False
    return settings


def _registry(layout: Layout) -> dict[str, object]:
    return {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {
            "filesystem": {"rootdirectory": f"{layout.cache}/registry"},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {"addr": ":5000"},
    }
