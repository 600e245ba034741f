//! Loggers by dotted name, and handlers that are shut down in order.
