"""Offline reinforcement learning: policies from what was logged, one readable file a method."""
