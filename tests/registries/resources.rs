//! See `highlander::registries::resources`.
