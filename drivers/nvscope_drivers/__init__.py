"""Instrument drivers: one file per model, each a PyMeasure instrument and the adapter that gives it a role."""
