"""A plan's actions on the cluster, in order, and what stands in their way."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from deepcoder_operator.cluster import Cluster, Document
from deepcoder_operator.errors import AlreadyExistsError, ConflictError, NotFoundError, RefusedError
from deepcoder_operator.index import Index, owner_key
from deepcoder_operator.labels import Owner
from deepcoder_operator.plan import Action, Create, Delete, Scale, Select
from deepcoder_operator.projection import controller_uid, items, part, terminating

SOON_SECONDS = 2.0
LATER_SECONDS = 30.0


@dataclass(frozen=True)
class Trouble:
    """Why an action could not be carried out. `final`: the same request is refused for ever, so the run has ended."""

    reason: str
    message: str
    again_in: float = LATER_SECONDS
    final: bool = False


async def carry_out(cluster: Cluster, index: Index, owner: Owner, actions: Sequence[Action]) -> Trouble | None:
    """Carry the actions out up to the first that cannot be. Raises RetryableError.

    What the API server answers goes to the index at once, so that the next look does not wait for a watch.
    """
    for action in actions:
        try:
            trouble = await _carry_out(cluster, index, owner, action)
        except RefusedError as error:
            trouble = _refused(error)
        if trouble is not None:
            return trouble
    return None


async def _carry_out(cluster: Cluster, index: Index, owner: Owner, action: Action) -> Trouble | None:
    match action:
        case Create():
            return await _create(cluster, index, owner, action)
        case Delete():
            await _delete(cluster, owner, action)
        case Scale():
            await _patch(cluster, index, owner, "Deployment", action, {"spec": {"replicas": action.replicas}})
        case Select():
            await _patch(cluster, index, owner, "Service", action, {"spec": {"selector": dict(action.selector)}})
    return None


async def _create(cluster: Cluster, index: Index, owner: Owner, action: Create) -> Trouble | None:
    try:
        index.put(action.kind, await cluster.create(action.document))
    except AlreadyExistsError:
        return await _already_there(cluster, index, owner, action)
    except NotFoundError as error:
        return Trouble("NamespaceGone", error.message, SOON_SECONDS)
    return None


async def _already_there(cluster: Cluster, index: Index, owner: Owner, action: Create) -> Trouble | None:
    what = f"{action.kind} {action.name}"
    try:
        body = await cluster.get(action.kind, owner.namespace, action.name)
    except NotFoundError:
        return Trouble("WaitingForDeletion", f"{what} was just deleted; it is made again", again_in=0.0)
    if terminating(body):
        return Trouble("WaitingForDeletion", f"waiting until the old {what} is deleted", SOON_SECONDS)
    if controller_uid(body) == owner.uid:
        index.put(action.kind, body)
        return None
    if _of_a_predecessor(owner, body):
        message = f"waiting until {what} of an earlier {owner.kind} of this name is deleted"
        return Trouble("WaitingForDeletion", message, SOON_SECONDS)
    message = (
        f"{what} is needed and is there already, but {_belongs_to(body)}; delete or rename it, or delete this "
        f"{owner.kind} and apply it under another name"
    )
    return Trouble("NameConflict", message)


def _of_a_predecessor(owner: Owner, body: Document) -> bool:
    key = owner_key(body)
    return key is not None and (key.kind, key.name) == (owner.kind, owner.name) and controller_uid(body) != ""


def _belongs_to(body: Document) -> str:
    owners = items(part(body, "metadata"), "ownerReferences")
    controller = next((item for item in owners if item.get("controller")), None)
    return f"belongs to {controller['kind']} {controller['name']}" if controller else "is not this operator's"


async def _delete(cluster: Cluster, owner: Owner, action: Delete) -> None:
    # Either error says that the object of this uid is gone, which is what was asked for.
    with suppress(NotFoundError, ConflictError):
        await cluster.delete(action.kind, owner.namespace, action.name, action.uid)


async def _patch(
    cluster: Cluster, index: Index, owner: Owner, kind: str, action: Scale | Select, changes: Document
) -> None:
    # One that is gone will be seen to be so, and is made anew.
    with suppress(NotFoundError):
        index.put(kind, await cluster.patch(kind, owner.namespace, action.name, action.uid, changes))


def _refused(error: RefusedError) -> Trouble:
    if error.may_heal:
        return Trouble("QuotaExceeded" if "quota" in error.message else "NamespaceTerminating", error.message)
    # 403 is about who may do what, which an administrator can change; the rest is about the request itself.
    if error.status == 403:
        return Trouble("Forbidden", str(error))
    return Trouble("Refused", str(error), final=True)
