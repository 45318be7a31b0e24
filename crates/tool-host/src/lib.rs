//! Port and hosts of tools that leave the machine.
