"""The offline HTML report and the static figures, drawn from the results table and from nothing else."""
