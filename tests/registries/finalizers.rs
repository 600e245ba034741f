//! See `highlander::registries::finalizers`.
