import ast
from pathlib import Path

import medix_r1.evaluation.results.records as records


def test_evaluation_imports_neither_training_nor_rewards() -> None:
    for file in Path(records.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert not name.startswith(("medix_r1.training", "medix_r1.rewards", "medix_r1.demo", "verl", "ray")), (
                    file
                )
