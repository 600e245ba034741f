//! Events, and receivers that are not kept alive.
