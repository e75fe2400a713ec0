"""Run records (one file per stage), and stamps: metadata in figures and reports that identifies the runs."""
