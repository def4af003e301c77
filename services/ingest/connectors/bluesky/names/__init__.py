"""What people on Bluesky are called: handles, and whether they lead back to who claims them."""
