"""A cluster without machines: Kubernetes' API server, its controllers and its scheduler, on etcd, all on loopback.

Nothing runs on its nodes: they are entries that somebody made, and so is what is said of their pods.
"""

import base64
import json
import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from rapport.local import child, ports
from rapport.local.servers import jars
from tests.waiting import until

PROGRAMS = Path(__file__).parent / "programs"
_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
BUILD_SECONDS = 3600.0
START_SECONDS = 120.0
STOP_SECONDS = 30.0
COMMAND_SECONDS = 120.0


class NoClusterError(Exception):
    """Why no cluster can be had here."""


class KubectlError(Exception):
    """A command of kubectl failed: what it was, and what it said."""


def built() -> Path:
    """The folder with the programs, which are built where they are not in the cache. Raises NoClusterError."""
    for name in ("go", "kubectl"):
        if shutil.which(name) is None:
            raise NoClusterError(f"{name} is not on the PATH")
    module = json.loads(_go("list", "-m", "-json", "k8s.io/kubernetes").stdout)
    folder = jars.cache() / f"kubernetes-{module['Version']}"
    packages = {"etcd": "go.etcd.io/etcd/server/v3"} | {name: f"k8s.io/kubernetes/cmd/{name}" for name in _KUBERNETES}
    folder.mkdir(parents=True, exist_ok=True)
    for name, package in packages.items():
        if not (folder / name).exists():
            _go("build", "-o", str(folder / name), package)
    return folder


def _go(*arguments: str) -> subprocess.CompletedProcess[str]:
    # The locked modules and nothing else; and no version of Go but the one that is here.
    settings = {**os.environ, "GOFLAGS": "-mod=readonly -buildvcs=false", "GOTOOLCHAIN": "local"}
    command = ["go", "-C", str(PROGRAMS), *arguments]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    if done.returncode != 0:
        raise NoClusterError(f"go {arguments[0]}: {done.stderr.strip()[-500:]}")
    return done


class ControlPlane:
    """Use as a context manager; with it ends all that it started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._programs = Path()
        self._running: list[child.Child] = []
        self._config = folder / "kubeconfig"

    def __enter__(self) -> Self:
        """Raises NoClusterError."""
        self._programs = built()
        try:
            self._start()
        except AssertionError as error:
            logs = "\n".join(child.last_lines(path) for path in sorted(self._folder.glob("*.log")))
            self.__exit__(None, None, None)
            raise NoClusterError(f"{error}:\n{logs}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for each in reversed(self._running):
            child.stop([each], STOP_SECONDS)

    def _start(self) -> None:
        etcd, peers, port = (ports.usual_or_free(0) for _ in range(3))
        client, peer, server = (f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peers}", f"https://127.0.0.1:{port}")
        self._run(
            "etcd", f"--data-dir={self._folder / 'etcd'}", f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
        )  # fmt: skip
        token = secrets.token_hex(16)
        certificate, private, authority, signing = self._secrets(server, token)
        self._run(
            "kube-apiserver", f"--etcd-servers={client}", "--bind-address=127.0.0.1", f"--secure-port={port}",
            f"--tls-cert-file={certificate}", f"--tls-private-key-file={private}",
            f"--token-auth-file={self._folder / 'tokens.csv'}", "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={signing}",
            f"--service-account-signing-key-file={signing}", "--service-cluster-ip-range=10.0.0.0/24",
            # Its own address is on loopback, which no Endpoints may name; and nodes that nobody is on are never ready.
            "--endpoint-reconciler-type=none", "--disable-admission-plugins=TaintNodesByCondition",
        )  # fmt: skip
        until(lambda: self._said("get", "--raw", "/readyz") == "ok", "the API server is ready", START_SECONDS)
        always = (f"--kubeconfig={self._config}", "--leader-elect=false", "--secure-port=0")
        self._run(
            "kube-controller-manager", *always, f"--service-account-private-key-file={signing}",
            f"--root-ca-file={authority}", "--controllers=*,-node-lifecycle-controller",
        )  # fmt: skip
        self._run("kube-scheduler", *always)
        until(
            lambda: bool(self._said("get", "serviceaccount", "default", "-o", "name")),
            "the controllers work",
            START_SECONDS,
        )

    def _run(self, program: str, *arguments: str) -> None:
        log = self._folder / f"{program}.log"
        command = [str(self._programs / program), *arguments]
        self._running.append(child.start(command, log, dict(os.environ), signal.SIGTERM))

    def _secrets(self, server: str, token: str) -> tuple[Path, Path, Path, Path]:
        """Writes a client's configuration, and: the server's certificate, its key, its authority, the key of tokens."""
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        certificate, private, root, signing = (
            self._folder / name for name in ("server.pem", "server.key", "authority.pem", "signing.key")
        )
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(private)
        authority.cert_pem.write_to_path(root)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        signing.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        (self._folder / "tokens.csv").write_text(f'{token},tester,1,"system:masters"\n')
        trusted = base64.b64encode(authority.cert_pem.bytes()).decode()
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority-data": trusted}}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }  # fmt: skip
        self._config.write_text(json.dumps(config))
        return certificate, private, root, signing

    def kubectl(self, *arguments: str, given: Any = None) -> subprocess.CompletedProcess[str]:
        """What kubectl says, with `given` (JSON) on its standard input. Raises KubectlError."""
        done = subprocess.run(
            ["kubectl", f"--kubeconfig={self._config}", *arguments],
            input=None if given is None else json.dumps(given),
            capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stdout[-1000:]}{done.stderr[-2000:]}")
        return done

    def _said(self, *arguments: str) -> str:
        try:
            return self.kubectl(*arguments).stdout
        except KubectlError:
            return ""

    def items(self, *arguments: str) -> list[dict[str, Any]]:
        """The objects that `kubectl get` finds."""
        found = json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)
        return list(found["items"])
