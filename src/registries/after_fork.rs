//! What is to be done in a forked child.
