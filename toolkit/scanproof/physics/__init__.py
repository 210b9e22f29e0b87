"""MR physics on PyTorch tensors: Fourier transform, coils, sampling masks, noise and synthetic k-space.

Nothing is exported here, so that importing one module imports no other:
``from scanproof.physics.fft import image_to_kspace``.
"""
