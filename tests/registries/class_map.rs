//! See `highlander::registries::class_map`.
