"""Anything that changes one env into another env, one idea a file."""
