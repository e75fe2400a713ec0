"""From pictures wherever they are to shards of faces."""
