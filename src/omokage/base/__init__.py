"""What every stage may use: the class Job, the parameters' base class, errors, files and progress."""
