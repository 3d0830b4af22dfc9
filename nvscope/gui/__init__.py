"""The pyqtgraph viewer and run control."""
