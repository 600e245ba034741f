//! See `highlander::registries::after_fork`.
