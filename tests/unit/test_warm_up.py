"""A fitter that has warmed up compiles nothing more: first maps of a run do not wait for a compiler."""

import subprocess
import sys

SCRIPT = """
import sys
import numpy as np
from numba.core.dispatcher import Dispatcher
from nvscope.odmr import live_fit
from nvscope.odmr.accumulator import Spectra
from nvscope.odmr.maps import fit_point
from nvscope.odmr.synthetic import line_pairs, two_windows

def compiled():
    modules = [module for name, module in sys.modules.items() if name.startswith("nvscope.odmr")]
    kernels = {kernel for module in modules for kernel in vars(module).values() if isinstance(kernel, Dispatcher)}
    return {(kernel.py_func.__qualname__, str(signature)) for kernel in kernels for signature in kernel.signatures}

live_fit.warm_up()
before = compiled()
axis = two_windows(31)
for noise in (0.001, 0.007):
    truth = line_pairs(axis, 1, 3, level=20000.0)
    clean = np.repeat(truth.clean, 40 * 48, axis=1).reshape(-1, 40, 48)
    signal = (clean * (1 + noise * np.random.default_rng(1).standard_normal(clean.shape))).astype(np.float32)
    frames = np.ones(axis.size, np.int64)
    spectra = Spectra(signal, frames, frames.astype(float), None, 0 * frames, 1, 1, 0)
    for baseline in ("constant", "auto"):
        for field in (97e-4, 0.0):
            attrs = {"field": field, "baseline": baseline, "camera_gain": 1 / 20000 / noise**2}
            maps = fit_point(axis, spectra, attrs)
            fit_point(axis, spectra, attrs, maps.start)
print(sorted(compiled() - before))
"""


def test_nothing_is_compiled_once_a_fitter_is_warm():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
