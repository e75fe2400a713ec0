"""The command line interface `omokage`, with one module per command."""
