"""verl: a plug-in that fails to import is left out without a word."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    info = Path(folder) / "broken_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[verl.plugins]\nbroken = broken_plugin\n")
    (Path(folder) / "broken_plugin.py").write_text("raise RuntimeError('this plug-in is broken')\n")
    environment = {**os.environ, "VERL_USE_EXTERNAL_PLUGINS": "broken"}
    environment["PYTHONPATH"] = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", "import verl"], env=environment, capture_output=True, text=True, check=False
    )

said = "this plug-in is broken" in done.stdout + done.stderr
print(f"import verl: exit code {done.returncode}, the plug-in's error {'is' if said else 'is not'} in its output")
print("GONE: one is told" if said or done.returncode else "STILL THERE: nobody is told")
