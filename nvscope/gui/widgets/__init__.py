"""The window's widgets. They show what a `nvscope.gui.desk.Desk` knows and keep nothing of their own but looks."""
