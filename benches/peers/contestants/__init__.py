"""One file a store, run by the Python of that store's own venv: imports the standard library, NumPy and the store."""
