//! Every JSON shape that enters or leaves.
