"""Training, evaluation and the reports they leave."""
