"""Training by trial and error: `robolearn train TASK --method sac|rlpd|qtopt`."""
