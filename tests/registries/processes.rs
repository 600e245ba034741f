//! See `highlander::registries::processes`.
