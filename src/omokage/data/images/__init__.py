"""Decode untrusted image files, and process images in chunks, so that an interrupted run can resume."""
