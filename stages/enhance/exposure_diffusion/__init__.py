"""ExposureDiffusion: learning to expose, photon by photon."""
