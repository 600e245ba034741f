//! The results of a function, while somebody has them.
