//! What is to run when a value has died, or at exit.
