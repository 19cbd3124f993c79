"""What requests look like: typed structs, and how query strings and envelopes become them.

Knows the wire contract's fields and limits; does not know the engine, nor that aiohttp carries the bytes.
"""
