"""One module per simulated instrument: its command set, its states, its refusals."""
