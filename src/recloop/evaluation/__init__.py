"""Measuring: metrics, requests, intervals. Nothing here trains or decides."""
