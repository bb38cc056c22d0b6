"""ExposureDiffusion: learning to expose, photon by photon."""

from rawpipe.stages.enhance.exposure_diffusion.enhancer import ExposureDiffusion

__all__ = ["ExposureDiffusion"]
