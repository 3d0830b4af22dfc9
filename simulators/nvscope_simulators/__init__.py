"""The lab as a program: one physical world, and one server per instrument speaking its wire protocol."""
