"""ODMR spectra: line shapes, guesses, the per-pixel fit and the live-fit worker."""

from nvscope.odmr.cache import kernel_cache

with kernel_cache():  # numba decides where a kernel is kept when the kernel is defined
    from nvscope.odmr.fitting import check_options, fit
    from nvscope.odmr.known_field import ExpectedPair
    from nvscope.odmr.noise import PoissonNoise
    from nvscope.odmr.pair_about import PairAbout, fit_pair_about
    from nvscope.odmr.result import FitStatus, ODMRFit

__all__ = [
    "ExpectedPair",
    "FitStatus",
    "ODMRFit",
    "PairAbout",
    "PoissonNoise",
    "check_options",
    "fit",
    "fit_pair_about",
]
