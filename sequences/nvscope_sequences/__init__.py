"""Protocols of the experiment: one file each, short enough to read aloud."""
