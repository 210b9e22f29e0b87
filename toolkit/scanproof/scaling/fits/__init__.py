"""Three forms of a scaling law, fitted to many curves at once: a power law, one with a break, one with an asymptote.

All are fitted by least squares to the same numbers, the logarithms of what was measured, so that their residuals can be
compared. Many curves are fitted at once because an interval needs a fit of each of its replicates.
"""
