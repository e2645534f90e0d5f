//! Ordered numbers from Redis, fenced by ranges of a durable store.
