"""What a window knows about a run: plain data fed by messages, bounded in memory, without Qt."""
