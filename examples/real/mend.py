"""An agent that is a program: it mends readers that throw bytes away by their number, without looking at them.

Wrong is, in any class of this repository::

    data = buf.extract(self.left)       # self.left is a number, 2 for a line end
    ...
    self.left -= len(data)              # and nobody looks at what `data` was

Whatever stands there passes for the line end. The program makes ``self.left`` the bytes that still have to come, and
refuses others. It knows the bug by its form, not by its place, and changes nothing where it isn't sure. Comments are
left to people.

It runs in the working directory with Python's standard library alone. Exit code 0: one class was mended; 1: none was.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

NUMBERS = {0: 'b""', 2: 'b"\\r\\n"'}  # after a chunk's data comes CRLF, and only that (RFC 9112, section 7.1)
ERROR = "LocalProtocolError"

Edit = tuple[int, int, bytes]


class Unsure(Exception):
    """The form is known, but something about it isn't."""


def main() -> int:
    mended = []
    for path in sorted(Path().rglob("*.py")):
        source = path.read_bytes()
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        for found in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
            for field, taking, lowering in thrown_away(found):
                try:
                    edits = rewrite(source, tree, found, (field, taking, lowering))
                except Unsure as doubt:
                    sys.stdout.write(f"{path}:{taking.lineno}: left alone: {doubt}\n")
                    continue
                mended.append((path, found.name, field, applied(source, edits)))
    if len(mended) != 1:
        sys.stderr.write(f"{len(mended)} places have the bug, expected one; nothing was changed\n")
        return 1
    path, name, field, text = mended[0]
    ast.parse(text)
    path.write_bytes(text)
    sys.stdout.write(f"{path}: `{name}.{field}` now holds the bytes that must come, and others are refused\n")
    return 0


def thrown_away(found: ast.ClassDef) -> Iterator[tuple[str, ast.Call, ast.AugAssign]]:
    """Yield (field, the call that takes bytes by it, the statement that lowers it) where nobody looks at the bytes."""
    for node in ast.walk(found):
        for block in (getattr(node, "body", None), getattr(node, "orelse", None)):
            for statement in block if isinstance(block, list) else []:
                taken = taking_of(statement)
                if taken is None:
                    continue
                name, field, call = taken
                for other in block:
                    if is_lowering(other, name, field) and looks_at(block, name) == 0:
                        yield field, call, other


def taking_of(statement: ast.stmt) -> tuple[str, str, ast.Call] | None:
    """Return (name, field, call) for ``name = anything.method(self.field)``."""
    match statement:
        case ast.Assign(
            targets=[ast.Name(id=name)],
            value=ast.Call(
                func=ast.Attribute(), args=[ast.Attribute(value=ast.Name(id="self"), attr=field)], keywords=[]
            ) as call,
        ):
            return name, field, call
    return None


def is_lowering(statement: ast.stmt, name: str, field: str) -> bool:
    """Whether it is ``self.field -= len(name)``."""
    match statement:
        case ast.AugAssign(
            target=ast.Attribute(value=ast.Name(id="self"), attr=lowered),
            op=ast.Sub(),
            value=ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=measured)]),
        ):
            return lowered == field and measured == name
    return False


def looks_at(block: list[ast.stmt], name: str) -> int:
    """Count the uses of ``name`` that see more of it than whether it is there and how long it is."""
    uses = 0
    for node in (node for statement in block for node in ast.walk(statement)):
        match node:
            case ast.Compare(left=ast.Name(id=compared), ops=[ast.Is()], comparators=[ast.Constant(value=None)]):
                uses -= compared == name
            case ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=measured)]):
                uses -= measured == name
            case ast.Name(id=used, ctx=ast.Load()):
                uses += used == name
    return uses


def rewrite(
    source: bytes, tree: ast.Module, found: ast.ClassDef, where: tuple[str, ast.Call, ast.AugAssign]
) -> list[Edit]:
    """Return the edits that turn the number ``self.field`` into the bytes that must come."""
    field, taking, lowering = where
    if ERROR not in {alias.asname or alias.name for node in tree.body for alias in getattr(node, "names", [])}:
        raise Unsure(f"`{ERROR}` isn't imported there")
    at = Places(source)
    edits = [at.over(taking.args[0], f"len(self.{field})"), at.over(lowering, checked(field, lowering))]
    known = {id(taking.args[0]), id(lowering.target)}
    for node in ast.walk(found):
        match node:
            case ast.Assign(targets=[ast.Attribute(attr=name) as target], value=ast.Constant(value=int(number)) as old):
                if name == field:
                    if number not in NUMBERS:
                        raise Unsure(f"what the {number} bytes should be is not known")
                    known.add(id(target))
                    edits.append(at.over(old, NUMBERS[number]))
            case ast.Compare(
                left=ast.Attribute(attr=name) as left, ops=[sign], comparators=[ast.Constant(value=0) as zero]
            ):
                if name == field and isinstance(sign, ast.Gt):
                    known.add(id(left))
                    edits.append(at.over(node, f"self.{field}"))
                elif name == field and isinstance(sign, ast.Eq):
                    known.add(id(left))
                    edits.append(at.over(zero, NUMBERS[0]))
    uses = {id(node) for node in ast.walk(found) if isinstance(node, ast.Attribute) and node.attr == field}
    if uses != known:
        raise Unsure(f"`self.{field}` is used in {len(uses - known)} other ways")
    return edits


def checked(field: str, lowering: ast.AugAssign) -> str:
    """Return the statements that look at the bytes, in place of the one that counted them."""
    assert isinstance(lowering.value, ast.Call)
    name = ast.unparse(lowering.value.args[0])
    indent = " " * lowering.col_offset
    return (
        f"if not self.{field}.startswith({name}):\n"
        f"{indent}    raise {ERROR}(\n"
        f'{indent}        f"expected {{self.{field}!r}} here, got {{bytes({name})!r}}"\n'
        f"{indent}    )\n"
        f"{indent}self.{field} = self.{field}[len({name}) :]"
    )


class Places:
    """Where nodes stand in the source, in bytes."""

    def __init__(self, source: bytes) -> None:
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def over(self, node: ast.expr | ast.stmt, text: str) -> Edit:
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or 0
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[end_line - 1] + end_column, text.encode()


def applied(source: bytes, edits: list[Edit]) -> bytes:
    for start, end, text in sorted(edits, reverse=True):
        source = source[:start] + text + source[end:]
    return source


if __name__ == "__main__":
    sys.exit(main())
