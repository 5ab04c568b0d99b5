"""The house has floors: a room imports rooms below its own, never one beside or above it (DESIGN section 2)."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "kd_monai"
FLOORS = [
    {"task", "outputs", "errors", "atomic", "phases", "processes", "__init__"},
    {"losses", "networks", "data", "metrics", "phantom"},
    {"handlers", "tracking"},
    *({room} for room in ("config", "runs", "teachers", "export", "training", "grid", "report", "__main__")),
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def imports(path: Path) -> set[str]:
    """Full names of what a file imports, wherever in the file."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert not any(isinstance(node, ast.ImportFrom) and node.level for node in nodes), "imports name their room in full"
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    return plain | {f"{node.module}.{alias.name}" for node in froms for alias in node.names}


def test_a_room_has_at_most_a_dozen_files() -> None:
    sizes = {file.parent.name: len(list(file.parent.glob("*.py"))) - 1 for file in SRC.rglob("__init__.py")}
    assert max(sizes.values()) <= 12, sizes


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda path: str(path.relative_to(SRC)))
def test_a_file_imports_rooms_below_its_own(path: Path) -> None:
    room = path.relative_to(SRC).parts[0].removesuffix(".py")
    rooms = {name.split(".")[1] for name in imports(path) if name.startswith("kd_monai.")} - {room}
    below = {other for other, floor in FLOOR.items() if floor < FLOOR[room] or floor == FLOOR[room] == 0}
    assert rooms <= below, f"{room} may not import {sorted(rooms - below)}"
    assert room == "tracking" or not any(name.split(".")[0] == "mlflow" for name in imports(path))
    assert not any(name.split(".")[0] == "pipelines" for name in imports(path))
