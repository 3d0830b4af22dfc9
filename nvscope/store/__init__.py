"""The run directory: Zarr blocks, journal, history, reader and export."""
