"""One thin module per stage: open the inputs, call the library, write the outputs."""
