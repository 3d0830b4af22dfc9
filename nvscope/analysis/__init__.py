"""From maps to s, Tc, traction and phase diagrams; figures and the report."""
