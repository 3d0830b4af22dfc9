"""An NI X-series card: its channels, terminals, tasks and properties, apart from how it is put on the network."""
