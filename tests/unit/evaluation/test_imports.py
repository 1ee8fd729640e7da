import ast
from pathlib import Path

from medix_r1 import evaluation


def test_evaluation_imports_neither_training_nor_rewards() -> None:
    files = [*Path(evaluation.__path__[0]).rglob("*.py")]
    assert {"records.py", "tasks.py", "judging.py", "submission.py"} <= {file.name for file in files}  # all four rooms
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert not name.startswith(("medix_r1.training", "medix_r1.rewards", "medix_r1.demo", "verl", "ray")), (
                    file
                )
