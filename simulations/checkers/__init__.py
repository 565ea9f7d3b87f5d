"""What must hold after every event of every run: each rule is a file, and sees all nodes at once."""
