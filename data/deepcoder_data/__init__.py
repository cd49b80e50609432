"""Problems from every source, and the object store that datasets, models, checkpoints and samples live in."""
