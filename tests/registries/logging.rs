//! See `highlander::registries::logging`.
