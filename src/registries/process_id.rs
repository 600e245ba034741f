//! Which process this is.

/// The number of this process, which is another one in a forked child. Where the system has none, it cannot
/// fork either.
pub(crate) fn this_process() -> u32 {
    if cfg!(all(target_family = "wasm", target_os = "unknown")) {
        0
    } else {
        std::process::id()
    }
}
