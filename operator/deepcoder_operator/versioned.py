"""What was last seen of many objects: the newer resourceVersion wins, whoever brings it, and the deleted stay away."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

# uids are never given twice, so a deletion that is known makes any later word of the object an old one.
_REMEMBERED_DELETIONS = 10_000


class Versioned(Generic[T]):
    """Values by group and uid. A group is what is asked for at once: an owner, or a name."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[str, tuple[int, T]]] = {}
        self._deleted: OrderedDict[str, None] = OrderedDict()

    def __iter__(self) -> Iterator[T]:
        for group in self._groups.values():
            for _, value in group.values():
                yield value

    def of(self, group: str) -> list[T]:
        """The values of a group, oldest version first."""
        return [value for _, value in sorted(self._groups.get(group, {}).values(), key=lambda item: item[0])]

    def put(self, group: str, uid: str, version: int, value: T) -> bool:
        """Keep the value, unless something newer is known. Whether it is news."""
        members = self._groups.setdefault(group, {})
        known = members.get(uid)
        if uid in self._deleted or (known is not None and known[0] >= version):
            if not members:
                del self._groups[group]
            return False
        members[uid] = (version, value)
        return True

    def remove(self, group: str, uid: str) -> None:
        """The object is deleted, for good."""
        self._deleted[uid] = None
        while len(self._deleted) > _REMEMBERED_DELETIONS:
            self._deleted.popitem(last=False)
        self._drop(group, uid)

    def keep_only(self, uids: set[str], version: int, group: str | None = None) -> list[T]:
        """Drop what a list of `version` did not hold and nothing newer told of; of one group, or of all.

        Returns what was dropped.
        """
        groups = list(self._groups) if group is None else [group] if group in self._groups else []
        gone = [
            (name, uid, value)
            for name in groups
            for uid, (seen, value) in self._groups[name].items()
            if uid not in uids and seen <= version
        ]
        for name, uid, _ in gone:
            self._drop(name, uid)
        return [value for _, _, value in gone]

    def _drop(self, group: str, uid: str) -> None:
        members = self._groups.get(group)
        if members is None:
            return
        members.pop(uid, None)
        if not members:
            del self._groups[group]
