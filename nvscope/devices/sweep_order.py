"""In which order the frames of a sweep are taken; a pure function of what is stored with the point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Order = Literal["up", "down", "alternate", "random"]
"""``alternate`` goes up in even sweeps and down in odd ones; ``random`` is another order in every sweep."""

Reference = Literal["none", "step", "sweep"]
"""Frames with microwaves off: none, before every frequency, or before every sweep."""

ORDERS: tuple[str, ...] = get_args(Order)
REFERENCES: tuple[str, ...] = get_args(Reference)


def sweep_frames(
    frames: Sequence[int] | NDArray[np.integer],
    order: Order,
    sweep: int,
    *,
    seed: int = 0,
    point: int = 0,
    reference: Reference = "none",
    reference_frames: int = 1,
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return which step of the frequency axis each frame of a sweep belongs to, and whether microwaves are off in it.

    Parameters
    ----------
    frames : sequence of int, shape (frequency,)
        Frames to take at each frequency; those of one frequency follow one another.
    order : str
        See `Order`.
    sweep : int
        Number of the sweep within its point.
    seed, point : int
        Seed of the run and number of the point; with `sweep` they fix a random order.
    reference, reference_frames : str, int
        How many frames with microwaves off are taken, and when; those of a whole sweep count as of step 0.
    """
    counts = np.asarray(frames, np.intp)
    steps = np.flatnonzero(counts)
    if order == "down" or (order == "alternate" and sweep % 2 == 1):
        steps = steps[::-1]
    elif order == "random":
        steps = np.random.default_rng([seed, point, sweep]).permutation(steps)
    each = reference_frames if reference == "step" else 0
    lengths = counts[steps] + each
    visited = np.repeat(steps, lengths)
    within = np.arange(visited.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    off = within < each
    if reference == "sweep":
        visited = np.concatenate([np.zeros(reference_frames, np.intp), visited])
        off = np.concatenate([np.ones(reference_frames, bool), off])
    return visited, off


def frames_per_sweep(frames: int, frequencies: int, reference: Reference, reference_frames: int) -> int:
    """Return how many frames a sweep of `frequencies` steps with `frames` each takes, microwave-off frames included."""
    extra = {"none": 0, "step": frequencies, "sweep": 1}[reference] * reference_frames
    return frames * frequencies + extra
