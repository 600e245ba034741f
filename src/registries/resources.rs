//! Open files and sockets, one for each identity.
