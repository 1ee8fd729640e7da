"""verl: actor_rollout_ref.nccl_timeout is a key of the config that nothing reads."""

import ast
import inspect
from pathlib import Path

import verl
from verl.workers import engine_workers

root, reads = Path(verl.__file__).parent, []
for path in root.rglob("*.py"):
    if "config" in path.relative_to(root).parts[:-1]:
        continue  # where the field is declared
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        named = isinstance(node, ast.Attribute) and node.attr == "nccl_timeout"
        looked_up = isinstance(node, ast.Constant) and node.value == "nccl_timeout"
        if named or looked_up:
            reads.append(f"{path.relative_to(root)}:{node.lineno}")

none = "initialize_global_process_group_ray(timeout_second=None)" in inspect.getsource(engine_workers)
print("places in verl that read nccl_timeout:", reads)
print("the workers' process group gets no timeout:", none)
print("STILL THERE: nothing reads it" if none and not reads else "GONE: it is read")
