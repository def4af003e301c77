"""The demonstration: a recorded fortnight of three invented brands, to see, try and check the product."""
