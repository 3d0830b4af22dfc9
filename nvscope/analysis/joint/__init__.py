"""Stress from spectra in which the lines of all four NV groups overlap.

Line by line such spectra cannot be read: under a culet the groups' lines lie within 200 MHz, some point up and some
down, and one group may hardly be driven. Instead all spectra of a pixel, taken with the bias along one axis after
another, are fitted at once by what they have in common, the stress.

`spectra`: what goes in and comes out; `model`: one pixel's spectra as functions of its stress; `image`: what a pixel
has to do with its neighbours; `shared`: what all pixels have in common; `search`: stresses when nothing is known;
`fit`: the whole way.
"""

from nvscope.analysis.joint.fit import fit_stress_spectra
from nvscope.analysis.joint.spectra import BiasSpectra, StressMap

__all__ = ["BiasSpectra", "StressMap", "fit_stress_spectra"]
