"""One thin module a stage: open the inputs, call the library, write the outputs."""
