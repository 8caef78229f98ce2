"""From logs to a better policy that earned the right to move the arm: gate, registry and the loop."""
