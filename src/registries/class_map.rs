//! Foreign type descriptors and their wrappers.
