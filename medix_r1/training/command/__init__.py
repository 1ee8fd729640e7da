"""The train command: plan, launch, supervise, show, resume; imports preflight/ and, in the driver, verl_plugin/."""
