"""verl: actor.freeze_vision_tower is a key of the config that nothing reads."""

import ast
from pathlib import Path

import verl

root, reads = Path(verl.__file__).parent, []
for path in root.rglob("*.py"):
    if "config" in path.relative_to(root).parts[:-1]:
        continue  # where the field is declared
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        named = isinstance(node, ast.Attribute) and node.attr == "freeze_vision_tower"
        looked_up = isinstance(node, ast.Constant) and node.value == "freeze_vision_tower"
        if named or looked_up:
            reads.append(f"{path.relative_to(root)}:{node.lineno}")

print("places in verl that read freeze_vision_tower:", reads)
print("GONE: it is read" if reads else "STILL THERE: nothing reads it")
