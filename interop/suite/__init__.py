"""The tests against foreign peers, a theme a file, and what they share."""
