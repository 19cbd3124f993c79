"""How fast ingot is, against what the machine allows, in one run: `make bench`."""
