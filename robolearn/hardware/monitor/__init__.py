"""The safety monitor: it trusts nobody, imports no simulator and no learning code, and guards the arm."""
