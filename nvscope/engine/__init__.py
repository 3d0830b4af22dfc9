"""The RunEngine set up for a rig: processes, limits, safe state, control."""
