"""Statistics of a study: operating points, robustness, tests, decisions and how many cases a study needs."""
