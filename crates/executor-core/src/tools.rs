//! Built-in tools on the virtual file system.
