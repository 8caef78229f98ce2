"""Online reinforcement learning: policies from their own trial and error, one readable file a method."""
