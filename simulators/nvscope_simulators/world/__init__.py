"""The physics behind every simulated instrument."""
