//! Child processes by id.
