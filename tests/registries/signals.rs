//! See `highlander::registries::signals`.
