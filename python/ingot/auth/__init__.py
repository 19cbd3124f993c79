"""Who may do what: the text of a key, the file of their hashes, and whom a key speaks for.

Does not know HTTP, and not the store: the tenants of a key are names, whether or not they exist.
"""
