"""Reconstruction methods, from k-space to image, registered by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanproof.registry import Registry

if TYPE_CHECKING:
    from scanproof.reconstruction.base import Reconstructor

RECONSTRUCTORS: Registry[Reconstructor] = Registry(
    "reconstruction",
    {
        "fully_sampled": "scanproof.reconstruction.zero_filled:FullySampled",
        "zero_filled": "scanproof.reconstruction.zero_filled:ZeroFilled",
        "cg_sense": "scanproof.reconstruction.cg_sense:CgSense",
        "cs_tv": "scanproof.reconstruction.total_variation:TotalVariation",
        "cs_wavelet": "scanproof.reconstruction.wavelet_sparsity:WaveletSparsity",
        "conv_decoder": "scanproof.reconstruction.untrained.reconstructors:ConvDecoder",
        "deep_decoder": "scanproof.reconstruction.untrained.reconstructors:DeepDecoder",
        "deep_image_prior": "scanproof.reconstruction.untrained.reconstructors:DeepImagePrior",
        "modl": "scanproof.reconstruction.unrolled.reconstructors:Modl",
        "proximal_gradient": "scanproof.reconstruction.unrolled.reconstructors:ProximalGradient",
        "unet": "scanproof.reconstruction.unet:UNet",
        "unet_ttt": "scanproof.reconstruction.unet_ttt:UNetTTT",
        "varnet": "scanproof.reconstruction.unrolled.reconstructors:VarNet",
    },
    group="scanproof.reconstructors",
    unlisted={"external": "scanproof.reconstruction.external:ExternalReconstructor"},
)
