//! The writer against what is known of the format; comparisons with BuildKit's own layers are in `cache-tests`.
