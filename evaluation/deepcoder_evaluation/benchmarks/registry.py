"""Every kind of benchmark by its name: the files of this package that define a KIND."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

import deepcoder_evaluation.benchmarks as package
from deepcoder_evaluation.benchmarks.kind import BenchmarkKind


@cache
def kinds() -> dict[str, BenchmarkKind]:
    """All kinds."""
    modules = (
        importlib.import_module(f"{package.__name__}.{one.name}") for one in pkgutil.iter_modules(package.__path__)
    )
    found = [module.KIND for module in modules if hasattr(module, "KIND")]
    return {kind.name: kind for kind in found}
