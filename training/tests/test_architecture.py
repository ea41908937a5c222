"""Imports run one way: a part may know only the parts before it."""

import ast
from pathlib import Path

import earshot_training

PACKAGE = Path(earshot_training.__file__).parent

ORDER = (
    "errors",
    "atomic_folder",
    "json_file",
    "config",
    "config_file",
    "freed_memory",
    "processes",
    "audio",
    "labels",
    "data",
    "model",
    "tokenizer",
    "objectives",
    "train",
    "probe",
    "compare",
    "export",
    "iterate",
    "commands",
    "cli",
    "__main__",
)


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("earshot_training."):
            yield node.module.split(".")[1]


def sources():
    return [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


def test_the_order_names_every_part():
    assert {part_of(path) for path in sources()} == set(ORDER)


def test_no_part_imports_a_later_one():
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {imported}"
        for path in sources()
        for imported in imported_parts(path)
        if ORDER.index(imported) > ORDER.index(part_of(path))
    ]
    assert wrong == []


def test_only_export_and_its_commands_know_onnx():
    users = {
        part_of(path)
        for path in sources()
        if any(
            name.split(".")[0] in ("onnx", "onnxruntime")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        )
    }
    assert users <= {"export", "commands"}
