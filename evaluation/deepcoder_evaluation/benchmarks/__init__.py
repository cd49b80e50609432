"""The kinds of benchmarks: a file each, found by `registry`; `kind` says what such a file defines."""
