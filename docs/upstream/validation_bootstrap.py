"""verl: a validation draws 1,000 bootstrap samples in Python for each question and each key of the reward's extras."""

from verl.trainer.ppo import metric_utils

QUESTIONS, REPLIES = 10, 5
draws = []
bootstrap_metric = metric_utils.bootstrap_metric


def counted(data, subset_size, reduce_fns, n_bootstrap=1000, seed=42):
    draws.extend([1] * n_bootstrap * len(reduce_fns))  # each is one call in a Python loop
    return bootstrap_metric(data, subset_size, reduce_fns, n_bootstrap, seed)


metric_utils.bootstrap_metric = counted
counts = {}
for keys in (1, 4):
    draws.clear()
    uids = [str(i // REPLIES) for i in range(QUESTIONS * REPLIES)]
    values = {f"part{k}": [float(i % 2) for i in range(QUESTIONS * REPLIES)] for k in range(keys)}
    metric_utils.process_validation_metrics(["source"] * len(uids), uids, values)
    counts[keys] = len(draws)
    print(f"{QUESTIONS} questions, {REPLIES} replies each, {keys} key(s): {len(draws):,} samples drawn in Python")

grows = counts[1] > 0 and counts[4] == 4 * counts[1]
print(f"{'STILL THERE: it grows with every key' if grows else 'GONE: it does not grow with the keys'}")
