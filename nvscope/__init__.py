"""nvscope: wide-field NV microscopy in diamond anvil cells, from sequence to certified map."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("nvscope")
except PackageNotFoundError:  # a source tree on sys.path, never installed
    __version__ = "0+unknown"
