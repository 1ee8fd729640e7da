"""verl: a run that goes on in MLflow is refused when one setting has changed."""

import os
import sys
from types import ModuleType, SimpleNamespace

from verl.utils import tracking

tracking.MLFLOW_SLEEP_SECONDS = 0
params = {}


def log_params(new):
    """MLflow's rule: a parameter never changes."""
    for key, value in new.items():
        if params.setdefault(key, value) != value:
            raise ValueError(f"Changing param values is not allowed. Param with key='{key}' was already logged")


mlflow = ModuleType("mlflow")
mlflow.set_tracking_uri = mlflow.start_run = mlflow.set_experiment = lambda *args, **names: None
mlflow.end_run = mlflow.set_tags = lambda tags=None: None
mlflow.active_run = lambda: SimpleNamespace(data=SimpleNamespace(params=dict(params)))
mlflow.log_params = log_params
sys.modules["mlflow"] = mlflow
os.environ["MLFLOW_RUN_ID"] = "0123"

for attempt, port in ((1, 8000), (2, 8001)):
    tracker = tracking.Tracking("project", "name", ["mlflow"], config={"trainer": {}, "judge": {"port": port}})
    print(f"attempt {attempt}, port {port}: logs to {sorted(tracker.logger) or 'nothing'}")
print("GONE" if "mlflow" in tracker.logger else "STILL THERE: the resumed run is not in MLflow")
