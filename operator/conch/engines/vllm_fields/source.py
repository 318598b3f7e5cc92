"""Reads the fields of AsyncEngineArgs out of vLLM's source, by syntax alone: nothing of vLLM is imported or run.

A field's annotation is followed through imports and aliases down to what JSON can hold. Its default is usually an
attribute of a config class (`ModelConfig.max_model_len`); from there come the default and the bounds. What JSON cannot
hold (a class, a callable, a torch.dtype) is left out of the types, since model.json can never say it.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_ROOT: Final = ("vllm.engine.arg_utils", "AsyncEngineArgs")

_JSON_TYPES: Final = {
    "Any": ("array", "boolean", "integer", "null", "number", "object", "string"),
    "bool": ("boolean",),
    "dict": ("object",),
    "float": ("number",),
    "frozenset": ("array",),
    "int": ("integer",),
    "list": ("array",),
    "set": ("array",),
    "str": ("string",),
    "tuple": ("array",),
}
_NOT_IN_JSON: Final = frozenset({"Callable", "type"})
_BOUNDS: Final = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


class UnreadableSource(Exception):
    """The source says something that this reader does not understand."""


@dataclass(slots=True)
class _Values:
    """What an annotation admits."""

    types: set[str] = field(default_factory=set)
    choices: list[Any] = field(default_factory=list)
    is_open: bool = False
    """Whether values of the choices' type outside them are admitted too."""

    def add(self, other: "_Values") -> None:
        """Admits what the other admits as well."""
        self.types |= other.types
        self.choices += [choice for choice in other.choices if choice not in self.choices]
        self.is_open |= other.is_open


@dataclass(frozen=True, slots=True)
class _Definition:
    """A name's definition, and the module whose names it uses."""

    module: str
    node: ast.expr | ast.ClassDef


class Package:
    """The source of vLLM: texts by path inside the archive, such as `vllm/config/cache.py`."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._bindings: dict[str, dict[str, ast.stmt]] = {}

    def engine_arguments(self) -> dict[str, dict[str, Any]]:
        """The fields of AsyncEngineArgs and of the classes it inherits from, each as the table records it."""
        return dict(sorted(dict(self._fields(*_ROOT)).items()))

    def _fields(self, module: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        class_ = self._definition(module, name)
        if class_ is None or not isinstance(class_.node, ast.ClassDef):
            raise UnreadableSource(f"{module} has no class {name}")
        for base in class_.node.bases:
            if isinstance(base, ast.Name):
                yield from self._fields(class_.module, base.id)
        for statement in class_.node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                yield statement.target.id, self._field(class_.module, statement)

    def _field(self, module: str, statement: ast.AnnAssign) -> dict[str, Any]:
        values = self._admitted(module, statement.annotation)
        default = self._default(module, statement.value)
        if "default" in default and default["default"] is None:
            values.types.add("null")
        if not values.types:
            raise UnreadableSource(f"line {statement.lineno} of {module}: {ast.unparse(statement)}")
        choices = {"suggestions" if values.is_open else "choices": values.choices} if values.choices else {}
        return {
            "annotation": ast.unparse(statement.annotation),
            "types": sorted(values.types),
            **choices,
            **default,
        }

    def _admitted(self, module: str, annotation: ast.expr) -> _Values:
        match annotation:
            case ast.Constant(value=None):
                return _Values({"null"})
            case ast.Constant(value=str(text)):
                return self._admitted(module, ast.parse(text, mode="eval").body)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self._union(module, left, right)
            case ast.Subscript(value=ast.Name(id="Literal"), slice=slice_):
                return self._literal(module, slice_)
            case ast.Subscript(value=ast.Name(id="Optional"), slice=slice_):
                return self._union(module, slice_, ast.Constant(None))
            case ast.Subscript(value=ast.Name(id="Union"), slice=ast.Tuple(elts=members)):
                return self._union(module, *members)
            case ast.Subscript(value=ast.Name() as generic):
                return self._admitted(module, generic)
            case ast.Attribute():
                return _Values()
            case ast.Name(id=name):
                return self._named(module, name)
        raise UnreadableSource(f"{module}: {ast.unparse(annotation)}")

    def _union(self, module: str, *members: ast.expr) -> _Values:
        union = _Values()
        for member in members:
            union.add(self._admitted(module, member))
        return union

    def _literal(self, module: str, slice_: ast.expr) -> _Values:
        values = _Values()
        for member in slice_.elts if isinstance(slice_, ast.Tuple) else [slice_]:
            if isinstance(member, ast.Constant):
                values.add(_constant(member.value))
            else:  # a Literal may contain another
                values.add(self._admitted(module, member))
        return values

    def _named(self, module: str, name: str) -> _Values:
        if name in _JSON_TYPES:
            return _Values(set(_JSON_TYPES[name]), is_open=name in ("Any", "int", "str"))
        definition = None if name in _NOT_IN_JSON else self._definition(module, name)
        if definition is None:
            return _Values()
        if isinstance(definition.node, ast.ClassDef):
            return _class(definition.node)
        return self._admitted(definition.module, definition.node)

    def _default(self, module: str, value: ast.expr | None) -> dict[str, Any]:
        """The literal default and the bounds of a field, as far as the source gives them."""
        match value:
            case None:
                return {}
            case ast.Attribute(value=ast.Name(id=owner), attr=name):
                return self._attribute(module, owner, name)
            case ast.Call(func=ast.Name(id="get_field"), args=[ast.Name(id=owner), ast.Constant(value=str(name))]):
                return self._attribute(module, owner, name)
            case ast.Call(func=ast.Name(id="Field" | "field"), args=positional, keywords=keywords):
                named = {word.arg: word.value for word in keywords if word.arg}
                bounds = {_BOUNDS[arg]: ast.literal_eval(bound) for arg, bound in named.items() if arg in _BOUNDS}
                default = positional[0] if positional else named.get("default")
                return bounds | self._default(module, default)
        try:
            return {"default": ast.literal_eval(value)}
        except ValueError:
            return {}

    def _attribute(self, module: str, owner: str, name: str) -> dict[str, Any]:
        class_ = self._definition(module, owner)
        body = class_.node.body if class_ and isinstance(class_.node, ast.ClassDef) else []
        for statement in body:
            match statement:
                case ast.AnnAssign(target=ast.Name(id=target), value=value) if class_ and target == name:
                    return self._default(class_.module, value)
        return {}

    def _definition(self, module: str, name: str) -> _Definition | None:
        """Where a name gets its meaning; None when that is outside the package."""
        match self._names(module).get(name):
            case ast.ClassDef() as class_:
                return _Definition(module, class_)
            case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
                return _Definition(module, value)
            case ast.ImportFrom(module=str(origin), level=level, names=names):
                original = next(alias.name for alias in names if name == (alias.asname or alias.name))
                return self._definition(f"{self._package(module, level)}{origin}", original)
        return None

    def _package(self, module: str, level: int) -> str:
        """What a relative import of that level starts from, with its dot; empty for an absolute one."""
        if not level:
            return ""
        is_package = f"{module.replace('.', '/')}/__init__.py" in self._texts
        parts = module.split(".")
        return ".".join(parts[: len(parts) - level + is_package]) + "."

    def _names(self, module: str) -> Mapping[str, ast.stmt]:
        if module not in self._bindings:
            path = module.replace(".", "/")
            text = self._texts.get(f"{path}.py", self._texts.get(f"{path}/__init__.py", ""))
            self._bindings[module] = _bindings(ast.parse(text).body)
        return self._bindings[module]


def _bindings(statements: list[ast.stmt]) -> dict[str, ast.stmt]:
    """Statements by the name they bind; of `if TYPE_CHECKING`, the branch that type checkers see."""
    names: dict[str, ast.stmt] = {}
    for statement in statements:
        match statement:
            case ast.If(body=body, orelse=orelse):
                names |= _bindings(orelse) | _bindings(body)
            case ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                names[name] = statement
            case ast.Assign(targets=[ast.Name(id=name)]):
                names[name] = statement
            case ast.ImportFrom(names=aliases):
                names |= {alias.asname or alias.name: statement for alias in aliases}
    return names


def _constant(value: Any) -> _Values:
    return _Values({"null"}) if value is None else _Values(set(_JSON_TYPES[type(value).__name__]), [value])


def _class(class_: ast.ClassDef) -> _Values:
    """An enumeration is given by value when its members are integers or strings, else by name, in any case."""
    bases = {ast.unparse(base).removeprefix("enum.") for base in class_.bases}
    members = [
        (statement.targets[0].id, statement.value)
        for statement in class_.body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    ]
    if "IntEnum" in bases:
        return _Values({"integer"}, [ast.literal_eval(value) for _, value in members])
    if bases >= {"str", "Enum"} or "StrEnum" in bases:
        return _Values({"string"}, [ast.literal_eval(value) for _, value in members])
    if "Enum" in bases:
        return _Values({"string"}, [name for name, _ in members], is_open=True)
    return _Values({"object"})
