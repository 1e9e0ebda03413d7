"""Networks that others have trained, and what they make of one row: no label, no other row."""
