"""Pusher's executor: publishes a blessed model as a version with the highest number."""
