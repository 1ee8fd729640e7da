"""Right answers in other words and answers that offer several things, made from lists of medical terms.

benchmarks/reward_rules.py measures the rules of the reward with them. terms/ has the lists, templates.yaml the forms
that everybody may read. Whoever writes rules opens neither terms/later/ nor held_back.yaml, the forms that dev has not.
What makes the cases imports nothing of the package, so that the rules and what tries them have nothing in common.
"""
