"""From a study file to results: definition, plan of tasks, content-addressed store, executor."""
