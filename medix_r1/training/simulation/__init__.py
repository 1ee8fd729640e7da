"""`check --simulate`: one rank's step at real size, with fake tensors; imports verl, preflight/ and verl_plugin/."""
