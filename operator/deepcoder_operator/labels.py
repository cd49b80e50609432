"""Labels and names of what the operator makes: how children are found, selected and told apart. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deepcoder_api.manifest import API_VERSION, GROUP

Kind = Literal["TrainingRun", "Evaluation"]

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "deepcoder-operator"
OWNER_UID = f"{GROUP}/owner-uid"
OWNER_KIND = f"{GROUP}/owner-kind"
OWNER_NAME = f"{GROUP}/owner-name"
ROLE = f"{GROUP}/role"
ATTEMPT = f"{GROUP}/attempt"
SELECTOR = f"{MANAGED_BY}={MANAGER}"

_INFIX: dict[Kind, str] = {"TrainingRun": "tr", "Evaluation": "ev"}


@dataclass(frozen=True, slots=True)
class Owner:
    """The resource that children belong to."""

    kind: Kind
    namespace: str
    name: str
    uid: str

    def child(self, part: str) -> str:
        """The name of a child, such as <name>-tr-trainer-1."""
        return f"{self.name}-{_INFIX[self.kind]}-{part}"

    def host(self, part: str) -> str:
        """The DNS name of the child Service `part`."""
        return f"{self.child(part)}.{self.namespace}.svc"

    def selector(self, role: str, attempt: int | None = None) -> dict[str, str]:
        """Labels that select the pods of a role, of one attempt if given."""
        chosen = {OWNER_UID: self.uid, ROLE: role}
        return chosen if attempt is None else {**chosen, ATTEMPT: str(attempt)}

    def labels(self, role: str = "", attempt: int | None = None) -> dict[str, str]:
        """All labels of a child. Labels of the resource itself are not among them."""
        labels = {
            "app.kubernetes.io/name": "deepcoder",
            "app.kubernetes.io/instance": self.name,
            MANAGED_BY: MANAGER,
            OWNER_KIND: self.kind,
            OWNER_NAME: self.name,
            OWNER_UID: self.uid,
        }
        if role:
            labels |= {"app.kubernetes.io/component": role, ROLE: role}
        return labels if attempt is None else {**labels, ATTEMPT: str(attempt)}

    def reference(self) -> dict[str, object]:
        """The owner reference that makes Kubernetes delete a child with its resource."""
        return {
            "apiVersion": API_VERSION,
            "kind": self.kind,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
