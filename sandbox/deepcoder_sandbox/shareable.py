"""Which programs leave nothing behind: their tests may run one after the other in one process. Pure, no I/O.

A process that has run such a program once is, for its next run, like a new one: what the program can change beyond its
own objects (standard streams, limits of the interpreter, the collector, random numbers, decimal's context) is put back
by `shared_process`. So the verdict on a test does not depend on the tests before it. That is read off the program's
syntax, and whatever is not known to be harmless counts as harmful: the program then gets a process for each test.

- Only the modules named here. A module's name stands nowhere but before a dot, so that no module is ever a value.
- No way from an object to its class, its module, a frame or a name by text (`__class__`, `globals`, `setattr`, …).
- Attributes are set on nothing that was imported; where a class is imported that another name for it could change,
  they are set on `self` alone.

A program that fools this check gains nothing: it could only tell its own later runs what it has seen, and expected
outputs never are where it runs.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The names that may be used of a module whose other names change the process, or lead to what does; None: all.
MODULES: dict[str, frozenset[str] | None] = {
    **dict.fromkeys(("__future__", "abc", "array", "bisect", "cmath", "collections", "collections.abc", "copy")),
    **dict.fromkeys(("dataclasses", "datetime", "enum", "fractions", "functools", "hashlib", "heapq", "itertools")),
    **dict.fromkeys(("math", "numpy", "operator", "queue", "re", "statistics", "string", "struct", "textwrap")),
    "typing": None,
    "decimal": _words("Decimal getcontext localcontext InvalidOperation DivisionByZero")
    | _words("ROUND_HALF_UP ROUND_HALF_EVEN ROUND_HALF_DOWN ROUND_UP ROUND_DOWN ROUND_FLOOR ROUND_CEILING"),
    "gc": _words("disable enable collect"),
    "io": _words("BytesIO StringIO IOBase"),
    "json": _words("loads dumps"),
    "os": _words("read write fstat"),
    "random": _words("seed random randint randrange choice choices shuffle sample uniform getrandbits gauss"),
    "sys": _words("stdin stdout stderr setrecursionlimit getrecursionlimit exit maxsize version_info")
    | _words("set_int_max_str_digits float_info getsizeof"),
    "time": _words("time time_ns perf_counter perf_counter_ns monotonic sleep"),
}
STREAMS = frozenset({"stdin", "stdout", "stderr"})
STREAM_FILES = (0, 1, "/dev/stdin", "/dev/stdout")
# Their classes are written in C and refuse to be changed. Elsewhere a capital letter is taken for a class in Python.
C_MODULES = _words("array cmath datetime decimal hashlib io itertools json math numpy struct")
C_CLASSES = frozenset({"OrderedDict"})
PYTHON_CLASSES = _words("Generic Protocol cached_property partialmethod singledispatchmethod")
BANNED_NAMES = _words(
    "exec eval compile globals locals vars dir setattr delattr getattr breakpoint help license credits copyright "
    "__import__ __builtins__ __loader__ __spec__ __file__"
)
# By text, or changing what they are given; and what numpy keeps for the whole process.
BANNED_MEMBERS = {
    "operator": _words("attrgetter methodcaller"),
    "functools": _words("update_wrapper"),
    "typing": _words("get_type_hints"),
    "numpy": _words(
        "random seterr seterrcall setbufsize set_printoptions set_string_function memmap save savez savetxt "
        "savez_compressed core lib testing f2py ctypeslib distutils sys os warnings"
    ),
}
NUMPY_MODULES = _words("linalg fft polynomial char ma rec strings emath exceptions dtypes typing matlib")
NUMPY_METHODS = frozenset({"tofile", "dump"})
ALLOWED_DUNDERS = _words(
    "__init__ __new__ __name__ __len__ __iter__ __next__ __contains__ __getitem__ __setitem__ __delitem__ __call__ "
    "__hash__ __bool__ __str__ __repr__ __int__ __float__ __index__ __lt__ __le__ __gt__ __ge__ __eq__ __ne__ __add__ "
    "__sub__ __mul__ __truediv__ __floordiv__ __mod__ __pow__ __neg__ __abs__ __and__ __or__ __xor__ __lshift__ "
    "__rshift__ __invert__ __radd__ __rsub__ __rmul__ __iadd__ __isub__ __imul__ __enter__ __exit__ __reversed__ "
    "__missing__ __post_init__ __doc__"
)
# Frames, tracebacks, generators, coroutines and code objects show what stands behind them.
INSIDE_PREFIXES = ("__", "f_", "tb_", "gi_", "cr_", "ag_", "co_")


def shareable(tree: ast.Module) -> bool:
    """Whether a run of this program leaves its process as it was, but for what `shared_process` puts back."""
    nodes = list(ast.walk(tree))
    imports = _Imports()
    if not all(imports.learn(node) for node in nodes):
        return False
    imports.look_for_classes(nodes)
    before_dots = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    return all(_harmless(node, imports, before_dots, called) for node in nodes)


class _Imports:
    """What a program's import statements bind."""

    def __init__(self) -> None:
        self.modules: dict[str, str] = {}
        self.values: set[str] = set()
        self.class_in_python = False

    def learn(self, node: ast.AST) -> bool:
        """Take note of a node; whether it imports nothing, or what is known to be harmless."""
        if isinstance(node, ast.Import):
            self.modules |= {alias.asname or alias.name.partition(".")[0]: alias.name for alias in node.names}
            return all(alias.name in MODULES for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            return node.level == 0 and module in MODULES and all(self._learn_value(module, name) for name in node.names)
        return True

    def _learn_value(self, module: str, alias: ast.alias) -> bool:
        self.values.add(alias.asname or alias.name)
        if alias.name == "*":
            self.class_in_python = True
            return module in {"math", "cmath", "itertools", "heapq", "bisect", "collections", "string"}
        self.class_in_python = self.class_in_python or _class_in_python(module, alias.name)
        return _harmless_member(module, alias.name) and not (module == "numpy" and alias.name in NUMPY_MODULES)

    def look_for_classes(self, nodes: Iterable[ast.AST]) -> None:
        """Take note of the classes that are used as members of modules."""
        for node in nodes:
            if isinstance(node, ast.Attribute) and (module := self.module_of(node)):
                self.class_in_python = self.class_in_python or _class_in_python(module, node.attr)

    def module_of(self, node: ast.Attribute) -> str | None:
        """The module that `node` is a direct member of."""
        return self.modules.get(node.value.id) if isinstance(node.value, ast.Name) else None


def _class_in_python(module: str, name: str) -> bool:
    if name in PYTHON_CLASSES:
        return True
    return name[:1].isupper() and module not in C_MODULES and module != "typing" and name not in C_CLASSES


def _harmless_member(module: str, name: str) -> bool:
    allowed = MODULES[module]
    if name.startswith("_") or name in BANNED_MEMBERS.get(module, ()):
        return False
    # Modules show the modules that they import themselves.
    if module != "numpy" and name in sys.stdlib_module_names and name != module:
        return False
    return allowed is None or name in allowed


def _harmless(node: ast.AST, imports: _Imports, before_dots: set[int], called: set[int]) -> bool:
    match node:
        case ast.Name(id="open"):
            return id(node) in called
        case ast.Name(id=name) if name in imports.modules:
            return id(node) in before_dots and isinstance(node.ctx, ast.Load)
        case ast.Name(id=name):
            return name not in BANNED_NAMES
        case ast.Attribute():
            return _harmless_attribute(node, imports, before_dots)
        case ast.Call(func=ast.Name(id="open")):
            first = node.args[0] if node.args else None
            return isinstance(first, ast.Constant) and first.value in STREAM_FILES
        case ast.keyword(arg="metaclass"):
            return False
        case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name not in imports.modules
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            return name not in imports.modules
        case ast.MatchMapping(rest=str(name)):
            return name not in imports.modules
        case _:
            return True


def _harmless_attribute(node: ast.Attribute, imports: _Imports, before_dots: set[int]) -> bool:
    if node.attr.startswith(INSIDE_PREFIXES) and node.attr not in ALLOWED_DUNDERS:
        return False
    module = imports.module_of(node)
    if module is not None and not _harmless_member(module, node.attr):
        return False
    if module == "numpy" and node.attr in NUMPY_MODULES and id(node) not in before_dots:
        return False
    if node.attr in NUMPY_METHODS and "numpy" in imports.modules.values():
        return False
    return isinstance(node.ctx, ast.Load) or _harmless_store(node, imports, module)


def _harmless_store(node: ast.Attribute, imports: _Imports, module: str | None) -> bool:
    if module is not None:
        return module == "sys" and node.attr in STREAMS
    root = node.value
    while isinstance(root, ast.Attribute | ast.Subscript):
        root = root.value
    if isinstance(root, ast.Name):
        imported = root.id in imports.modules or root.id in imports.values
        return not imported and (root.id == "self" or not imports.class_in_python)
    return root is node.value and _calls_getcontext(root)


def _calls_getcontext(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="getcontext") | ast.Attribute(attr="getcontext")):
            return True
        case _:
            return False
