"""A PostgreSQL and an MLflow server on this machine, for a lab that shares its runs and searches."""
