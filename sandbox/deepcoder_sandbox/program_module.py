"""In a forked child: the module that a program is run as, and the depth to which it may recurse."""

from __future__ import annotations

import builtins
import sys
import types
from typing import Any

EXIT_MEMORY = 96
FILE_NAME = "program.py"
RECURSION_LIMIT = sys.getrecursionlimit()


def new_module(name: str) -> dict[str, Any]:
    """The names of a new module `name`, which is registered."""
    module = types.ModuleType(name)
    module.__dict__.update(__builtins__=builtins, __file__=FILE_NAME)
    sys.modules[name] = module
    return module.__dict__


def allow_full_depth() -> None:
    """Let what the caller runs next recurse as deep as in an interpreter of its own, our frames not counted."""
    depth, frame = 0, sys._getframe()
    while frame := frame.f_back:
        depth += 1
    sys.setrecursionlimit(RECURSION_LIMIT + depth)
