//! Pages that lead from a need to the call for it. No code is in here.

pub mod creating;
