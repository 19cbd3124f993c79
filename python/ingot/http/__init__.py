"""The HTTP service: connections, bodies, routes, answers, on aiohttp's low-level server.

Knows the wire contract and the service below it; does not know the engine, files, or how a vector is read.
"""
