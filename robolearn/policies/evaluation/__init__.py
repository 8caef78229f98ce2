"""What logged episodes say about a policy that did not make them: its value, and where they say nothing."""
