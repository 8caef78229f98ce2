"""What happened: episodes, and later the training store and the logs."""
