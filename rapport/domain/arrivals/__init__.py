"""When interactions of an account arrive: its usual rhythm, when it is quiet, and how late platforms are."""
