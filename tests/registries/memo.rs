//! See `highlander::registries::memo`.
