"""Training from logged episodes: `robolearn train TASK --method`, and `robolearn finetune`."""
