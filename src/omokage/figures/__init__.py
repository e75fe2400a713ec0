"""Plot the figures. The module of a figure has a function `plot`, which takes the tables and arrays to plot."""
