"""Fetches pictures from addresses that come from outside.

urls.py parses a URL, addresses.py decides which hosts are allowed, client.py fetches one picture, and lanes.py keeps
the limits of each host.
"""
