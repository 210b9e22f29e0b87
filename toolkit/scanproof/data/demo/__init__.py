"""The demo cohort: simulated subjects with real anatomy, scanned at three simulated sites."""
