"""The page of `omokage demo`: generate, edit and interpolate images in a browser."""
