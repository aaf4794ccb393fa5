"""A MoMask-type generator: tokeniser, masked and residual transformer, length predictor.

Guo et al., "MoMask: Generative Masked Modeling of 3D Human Motions", CVPR 2024. `recipe.py` reads like the paper's training section.
"""
