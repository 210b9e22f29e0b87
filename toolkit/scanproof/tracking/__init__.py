"""Tracking: the runs of a study in MLflow.

Experiment = study, parent run = site, nested run = chain (reconstruction, acceleration, classifier, norm). Severity
is the step of the metrics, so that MLflow draws the degradation curves by itself. MLflow and MONAI are imported only
when a function of these modules is called.
"""
