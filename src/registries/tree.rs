//! Parents and children that know each other without keeping each other.
