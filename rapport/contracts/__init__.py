"""What the services say to each other: topics, events and their encoding. Depends on nothing but msgspec."""
