"""An MDM-type generator: a transformer that predicts the clean motion from a noisy one, and a chain of steps that takes the noise away.

Tevet et al., "Human Motion Diffusion Model", ICLR 2023. Schedules and samplers are those of `diffusers`.
"""
