//! See `highlander::registries::tree`.
