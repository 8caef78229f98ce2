"""The data doctor: what is wrong with the episodes of a store, how bad it is, and what to do about it."""
