"""One file per page; each has a `show()`."""
