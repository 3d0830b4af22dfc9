"""Frames, maps and control messages over ZeroMQ: wire format, sockets, flow control."""
