"""Denoising signals of a subspace with a linear estimator: how its risk falls with the number of examples.

The one case of Klug and Heckel, *Scaling Laws For Deep Learning Based Image Reconstruction* (ICLR 2023, arXiv
2209.13435), in which risks can be computed instead of measured.
"""
