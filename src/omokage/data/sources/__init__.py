"""The sources of images, one module per source. Images of every source are packed into one kind of zip."""
